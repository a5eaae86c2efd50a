"""Loads one month of Seattle's weather into the warehouse: extract, check, clean, upsert, summarise.

    load_weather.py --period=2012-01 [--pause=0.1]

The warehouse is the SQLite file that WAREHOUSE names, else `warehouse.sqlite3` beside the scripts
directory. A script never gets the orchestrator's own database: it holds every job and key, so a
script that could write there could rewrite its own history. What a script works on it is told, here
by `environment: {"WAREHOUSE": …}`; with PostgreSQL as the warehouse that would be its URL.

Why this may be tried again at any time: a month is written in one transaction, so a try that was
killed has written nothing; and every row has a key, the day or the month, so a second try writes
the same rows over the first. Loading twice gives what loading once gives.
"""

import argparse
import csv
import os
import re
import sqlite3
import sys
import time
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "data" / "seattle-weather.csv"
KINDS = {"drizzle", "fog", "rain", "snow", "sun"}
PROGRESS_EVERY = 5

TABLES = """
CREATE TABLE IF NOT EXISTS weather_day (
    day TEXT PRIMARY KEY, precipitation_mm REAL NOT NULL, high_c REAL NOT NULL, low_c REAL NOT NULL,
    wind_ms REAL NOT NULL, kind TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS weather_month (
    month TEXT PRIMARY KEY, days INTEGER NOT NULL, wet_days INTEGER NOT NULL,
    precipitation_mm REAL NOT NULL, high_c REAL NOT NULL, low_c REAL NOT NULL
);
"""

UPSERT_DAY = """
INSERT INTO weather_day VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (day) DO UPDATE SET precipitation_mm = excluded.precipitation_mm, high_c = excluded.high_c,
    low_c = excluded.low_c, wind_ms = excluded.wind_ms, kind = excluded.kind
"""

UPSERT_MONTH = """
INSERT INTO weather_month
SELECT substr(day, 1, 7), count(*), sum(precipitation_mm > 0), round(sum(precipitation_mm), 1),
    max(high_c), min(low_c)
FROM weather_day WHERE substr(day, 1, 7) = ? GROUP BY 1
ON CONFLICT (month) DO UPDATE SET days = excluded.days, wet_days = excluded.wet_days,
    precipitation_mm = excluded.precipitation_mm, high_c = excluded.high_c, low_c = excluded.low_c
"""


class Refused(Exception):  # noqa: N818 - the data was refused; the program is in order
    """Nothing was loaded, and this sentence says why."""


@dataclass(frozen=True)
class Day:
    """One cleaned row, in the order of the table's columns."""

    day: str
    precipitation_mm: float
    high_c: float
    low_c: float
    wind_ms: float
    kind: str


def main() -> None:
    arguments = argparse.ArgumentParser(description="Loads one month of Seattle's weather.")
    arguments.add_argument("--period", required=True, help="the month, as 2012-01")
    arguments.add_argument("--pause", type=float, default=0.0, help="seconds to rest now and then")
    given = arguments.parse_args()
    try:
        load(given.period, given.pause)
    except Refused as refused:
        sys.exit(f"load_weather: {refused}")


def load(period: str, pause: float) -> None:
    year, month = month_of(period)
    print(f"Loading {period} from {SOURCE.name}", flush=True)
    days = list(progress(extract(f"{year}/{month:02}/"), monthrange(year, month)[1], pause))
    check(days, period, monthrange(year, month)[1])
    database = Path(os.environ.get("WAREHOUSE") or HERE.parent / "warehouse.sqlite3")
    total = store(database, period, days)
    print(f"Stored {len(days)} days; the warehouse now holds {total}", flush=True)


def month_of(period: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{4})-(\d{2})", period, re.ASCII)
    if match is None:
        raise Refused(f"bad period {period!r}: write a month as YYYY-MM, for instance 2012-01.")
    year, month = int(match[1]), int(match[2])
    if month not in range(1, 13):
        raise Refused(f"bad period {period!r}: there is no month {match[2]}, only 01 to 12.")
    return year, month


def extract(prefix: str) -> Iterator[Day]:
    with SOURCE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["date"].startswith(prefix):
                yield clean(row)


def clean(row: Mapping[str, str]) -> Day:
    """Raises Refused for a row that cannot be true: better no month than a wrong one."""
    try:
        day = date.fromisoformat(row["date"].strip().replace("/", "-"))
        rain, high, low, wind = (float(row[n]) for n in ("precipitation", "temp_max", "temp_min", "wind"))
    except ValueError as error:
        raise Refused(f"bad row {row['date']}: {error}.") from None
    kind = row["weather"].strip().lower()
    if rain < 0 or wind < 0 or low > high or kind not in KINDS:
        raise Refused(f"bad row {row['date']}: {dict(row)} cannot be true.")
    return Day(day.isoformat(), rain, high, low, wind, kind)


def progress(days: Iterator[Day], expected: int, pause: float) -> Iterator[Day]:
    for number, day in enumerate(days, 1):
        if number % PROGRESS_EVERY == 0 or number == expected:
            print(f"  {number:>2} of {expected} days, {day.day}: {day.kind}, {day.high_c} °C", flush=True)
            time.sleep(pause)
        yield day


def check(days: list[Day], period: str, expected: int) -> None:
    if not days:
        raise Refused(f"no data for {period}: the source holds 2012-01 to 2015-12.")
    if len({day.day for day in days}) != expected:
        raise Refused(f"{period} has {len(days)} rows where it should have one for each of {expected} days.")


def store(database: Path, period: str, days: list[Day]) -> int:
    """All of the month or nothing. Returns the number of days that the warehouse holds."""
    # Several months load at once: a writer waits for the other instead of failing with "locked".
    connection = sqlite3.connect(database, timeout=60, isolation_level=None)
    try:
        connection.executescript(TABLES)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(UPSERT_DAY, [astuple(day) for day in days])
        connection.execute(UPSERT_MONTH, [period])
        connection.execute("COMMIT")
        return int(connection.execute("SELECT count(*) FROM weather_day").fetchone()[0])
    finally:
        connection.close()


if __name__ == "__main__":
    main()

"""`etl demo`: the main job on real data, start to end, with nothing but what is here."""

import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from entrypoints.cli.address import Address
from entrypoints.cli.client import Client
from entrypoints.cli.copy import Copying
from entrypoints.cli.failure import WRONG, Failure
from entrypoints.cli.jobs import show_job
from entrypoints.cli.options import Flag
from entrypoints.cli.started_server import StartedServer
from entrypoints.cli.terminal import print_table
from entrypoints.whereabouts import ADMIN_KEY_FILE

EXAMPLES: Final = Path(__file__).resolve().parents[3] / "examples"
SCRIPT: Final = "load_weather.py"
YEAR: Final = 2012
PAUSE_SECONDS: Final = 0.1
"""The script rests so long after every fifth day, so that a person sees the log grow."""

COLUMNS: Final = ("month", "days", "wet_days", "precipitation_mm", "high_c", "low_c")


def demo(*, keep: Flag = False) -> int:
    """Start a server in a fresh directory, load a year of Seattle's weather through it, show the
    table that came of it and the record of a job, and stop. Exits 0 only if every job succeeded.

    Parameters
    ----------
    keep
        Leave the server running and its directory in place.

    """
    if not (EXAMPLES / "scripts" / SCRIPT).is_file():
        raise Failure(f"The examples are not here ({EXAMPLES}): run this in a checkout.")
    with _directory(keep=keep) as directory:
        server = StartedServer.start(directory, scripts=EXAMPLES / "scripts")
        try:
            succeeded = _show(server.address, directory / "warehouse.sqlite3")
        except BaseException:
            server.stop()
            raise
        if keep:
            _tell_how_to_go_on(server, directory)
        else:
            _heading("Stopping the server")
            server.stop()
    return 0 if succeeded else WRONG


@contextmanager
def _directory(*, keep: bool) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="etl-demo-"))
    # Embedded PostgreSQL refuses root, and the user it drops to must be able to pass.
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def _show(address: Address, warehouse: Path) -> bool:
    client = Client(lambda: address)
    _heading(f"A server of our own at {address.url}; API documentation at {address.url}/api/docs")
    jobs = [_submit(client, f"{YEAR}-{month:02}", warehouse) for month in range(1, 13)]
    ended = [_follow(client, job) for job in jobs]
    _heading("The table, read back from the database")
    _print_months(warehouse)
    _heading("The record of the last job")
    show_job(ended[-1])
    failed = [job for job in ended if job["state"] != "succeeded"]
    _heading(f"{len(ended) - len(failed)} of {len(ended)} jobs succeeded")
    return not failed


def _submit(client: Client, period: str, warehouse: Path) -> dict[str, Any]:
    body = {
        "script": SCRIPT,
        "parameters": {"period": period, "pause": PAUSE_SECONDS},
        "environment": {"WAREHOUSE": str(warehouse)},
        "timeout_seconds": 120,
        "retry": {"max_attempts": 2, "delay_seconds": 1},
        "labels": {"period": period},
    }
    job: dict[str, Any] = client.send_safely("/jobs", body, f"demo-{period}")
    print(f"submitted {SCRIPT} for {period}: job {job['id']}", flush=True)  # noqa: T201 - the demo's words
    return job


def _follow(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    _heading(f"The log of the job for {job['parameters']['period']}, live")
    return Copying(client, job["id"], {None: sys.stdout.buffer}).to_the_end()


def _print_months(warehouse: Path) -> None:
    """Nothing where no job got as far as making the table."""
    try:
        with closing(sqlite3.connect(f"{warehouse.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT * FROM weather_month ORDER BY month").fetchall()
    except sqlite3.Error as error:
        print(f"There is none: {error}.")  # noqa: T201 - the demo's words
        return
    print_table(COLUMNS, rows)


def _tell_how_to_go_on(server: StartedServer, directory: Path) -> None:
    _heading(f"The server goes on in {directory}")
    key_file = server.data / ADMIN_KEY_FILE
    print(f"  ETL_URL={server.address.url} ETL_API_KEY_FILE={key_file} etl ls")  # noqa: T201 - as above
    print(f"  kill {server.pid}    stops it")  # noqa: T201 - as above


def _heading(text: str) -> None:
    print(f"\n== {text}", flush=True)  # noqa: T201 - the demo's words

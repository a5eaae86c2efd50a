"""`./run bench http`: prints what was measured, and exits 1 where a goal was missed."""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

import psycopg

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres.migrate import migrate
from benchmarks.http.load import Answered, Request, load
from benchmarks.http.servers import Served, bare, product
from benchmarks.queue import depth
from benchmarks.queue.__main__ import Server
from entrypoints.http.paging import cursor_of

TURNS = 3
BATCH = 1000
JOB = {"script": "load.py", "parameters": {"period": "2026-01"}}
PAGE = 50


class Report:
    """Lines for a person, and the goals that were missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def rate(self, what: str, per_second: float, unit: str, cpu: float, busy: float) -> None:
        print(
            f"{what:<46}{per_second:>10,.0f} {unit:<11}{cpu * 1000:>7.2f} ms of the server's CPU a request,"
            f" client busy {busy:.0%}",
            flush=True,
        )

    def goal(self, what: str, measured: float, limit: float, *, at_most: bool = False) -> None:
        held = measured <= limit if at_most else measured >= limit
        word = "at most" if at_most else "at least"
        print(
            f"  goal: {what}: {measured:,.2f} ({word} {limit:g}) {'held' if held else 'MISSED'}", flush=True
        )
        if not held:
            self.missed.append(what)


def measured(server: Served, request: Request, connections: int, seconds: float) -> tuple[Answered, float]:
    """With the server's CPU seconds a request."""
    before = server.cpu
    answered = load(request, connections, seconds)
    return answered, (server.cpu - before) / answered.answers


def submits(report: Report, ours: Served, plain: Served, seconds: float) -> None:
    """By turns, medians of three: on a shared machine a minute is another machine."""
    body = json.dumps(JOB).encode()
    asked = {
        "submit": (ours, ours.request("POST", "/api/v1/jobs", body)),
        "bare Litestar handler, one row": (plain, plain.request("POST", "/rows", body)),
    }
    for connections in (1, 32):
        rates: dict[str, list[float]] = {name: [] for name in asked}
        costs: dict[str, list[float]] = {name: [] for name in asked}
        busy = 0.0
        for _ in range(TURNS):
            for name, (server, request) in asked.items():
                answered, cpu = measured(server, request, connections, seconds)
                rates[name].append(answered.rate)
                costs[name].append(cpu)
                busy = max(busy, answered.busy)
        for name in asked:
            what = f"{name}, {connections} connections"
            report.rate(
                what, statistics.median(rates[name]), "requests/s", statistics.median(costs[name]), busy
            )
        first, second = (statistics.median(rates[name]) for name in asked)
        report.goal(f"submit / bare handler, {connections} connections", first / second, 0.5)


def batches(report: Report, ours: Served, seconds: float) -> None:
    request = ours.request("POST", "/api/v1/jobs/batch", json.dumps({"jobs": [JOB] * BATCH}).encode())
    found = []
    for connections in (1, 4):
        answered, cpu = measured(ours, request, connections, seconds)
        report.rate(
            f"batches of 1,000, {connections} connections",
            answered.rate * BATCH,
            "jobs/s",
            cpu,
            answered.busy,
        )
        found.append(answered.rate * BATCH)
    report.goal("jobs/s in batches", max(found), 8000)


def reads(report: Report, ours: Served, seconds: float) -> None:
    job_id = ours.submitted(JOB)
    for connections in (1, 32):
        answered, cpu = measured(ours, ours.request("GET", f"/api/v1/jobs/{job_id}"), connections, seconds)
        report.rate(
            f"GET /jobs/ID, {connections} connections", answered.rate, "requests/s", cpu, answered.busy
        )


def lists(report: Report, ours: Served, url: str, rows: int, seconds: float) -> None:
    """A page at the front and one behind all other jobs, by turns, over one connection."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT id FROM etl.job ORDER BY id LIMIT 1 OFFSET %s", (2 * PAGE,)
        ).fetchone()
    if found is None:
        raise SystemExit("there are no jobs to list")
    front = ours.request("GET", f"/api/v1/jobs?limit={PAGE}")
    deep = ours.request("GET", f"/api/v1/jobs?limit={PAGE}&cursor={cursor_of(str(found[0]))}")
    took: dict[str, list[float]] = {"front": [], "deep": []}
    for _ in range(2 * TURNS):
        for name, request in (("front", front), ("deep", deep)):
            answered, _ = measured(ours, request, 1, seconds / 2)
            took[name].append(1000 / answered.rate)
    first, last = statistics.median(took["front"]), statistics.median(took["deep"])
    print(f"a page of {PAGE} at the front {first:.1f} ms, behind {rows:,} jobs {last:.1f} ms", flush=True)
    report.goal("page a million deep / at the front", last / first, 1.5, at_most=True)


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4, help="how long each measurement takes")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many jobs are behind the first page")
    parser.add_argument("--only", choices=["submit", "batch", "read", "list"])
    given, report = parser.parse_args(), Report()
    with tempfile.TemporaryDirectory(prefix="etl-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        postgres = EmbeddedPostgres(directory / "postgres")
        try:
            server = Server(await postgres.start(), directory / "postgres")
            url = await server.database()
            await migrate(url)
            other = await server.database()
            with product(url, directory / "product") as ours, bare(other) as plain:
                if given.only in (None, "submit"):
                    submits(report, ours, plain, given.seconds)
                if given.only in (None, "batch"):
                    batches(report, ours, given.seconds)
                if given.only in (None, "read"):
                    reads(report, ours, given.seconds)
            if given.only in (None, "list"):
                url = await server.database()
                await migrate(url)
                await depth.history(url, given.rows)
                with product(url, directory / "deep") as ours:
                    lists(report, ours, url, given.rows, given.seconds)
        finally:
            await postgres.stop()
    print("missed: " + "; ".join(report.missed) if report.missed else "every goal held")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

"""`./run bench queue`: prints what was measured, and exits 1 where a goal was missed."""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from benchmarks.queue import depth, wakeup
from benchmarks.queue.contender import Contender, together
from benchmarks.queue.ours import Ours
from benchmarks.queue.pgqueuer import PgQueuer
from benchmarks.queue.procrastinate import Procrastinate

BEST_BATCH = 100


class Report:
    """Lines for a person, and the goals that were missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def rate(self, what: str, name: str, jobs: int, seconds: float) -> float:
        print(f"{what:<34} {name:<42} {jobs / seconds:>10,.0f} jobs/s", flush=True)
        return jobs / seconds

    def goal(self, what: str, measured: float, least: float) -> None:
        held = measured >= least
        print(
            f"  goal: {what}: {measured:.2f} (at least {least:g}) {'held' if held else 'MISSED'}", flush=True
        )
        if not held:
            self.missed.append(what)


class Server:
    """One embedded PostgreSQL; a fresh database for each measurement."""

    def __init__(self, url: str, directory: Path) -> None:
        """`url` is the product's own role, which makes no databases; the superuser does."""
        self._given, self._made = conninfo_to_dict(url), 0
        password = (directory / "postgres.password").read_text().strip()
        boss = {**self._given, "user": "postgres", "password": password, "dbname": "postgres"}
        self._boss = make_conninfo("", **boss)

    async def database(self) -> str:
        self._made += 1
        name = f"bench_{self._made}"
        with psycopg.connect(self._boss, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {self._given['user']}")
        return (
            f"postgresql://{self._given['user']}:{self._given['password']}@/{name}?host={self._given['host']}"
        )


async def submits(server: Server, report: Report, jobs: int) -> None:
    for contender in (Ours(BEST_BATCH), PgQueuer(BEST_BATCH), Procrastinate(10)):
        url = await server.database()
        await contender.prepare(url)
        for connections in (1, 16):
            seconds = await contender.submit(url, jobs, connections)
            report.rate(f"submit, {connections} connections", contender.name, jobs, seconds)
        report.rate(
            "submit, batches of 1,000",
            contender.name,
            10 * jobs,
            await contender.submit_batch(url, 10 * jobs),
        )


async def burn(server: Server, report: Report, contender: Contender, jobs: int, workers: int) -> float:
    url = await server.database()
    await contender.prepare(url)
    await contender.submit_batch(url, jobs)
    seconds = await asyncio.to_thread(together, contender, url, workers)
    return report.rate(f"claim + report, {workers} workers", contender.name, jobs, seconds)


async def burns(server: Server, report: Report, jobs: int) -> None:
    rates: dict[str, list[float]] = {}
    for contender, share in (
        (Ours(1), 10),
        (Ours(10), 2),
        (Ours(BEST_BATCH), 1),
        (Ours(BEST_BATCH, starts=True), 1),
        (PgQueuer(10), 2),
        (PgQueuer(BEST_BATCH), 1),
        (Procrastinate(1), 20),
        (Procrastinate(10), 20),
    ):
        count = max(1000, jobs // share // 1000 * 1000)
        rates[contender.name] = [await burn(server, report, contender, count, w) for w in (1, 4)]
    best = max(rates[Ours(BEST_BATCH).name])
    pgqueuer = max(max(rates[PgQueuer(b).name]) for b in (10, BEST_BATCH))
    procrastinate = max(max(rates[Procrastinate(c).name]) for c in (1, 10))
    report.goal("ours in batches / the faster peer at its best", best / max(pgqueuer, procrastinate), 1)
    report.goal("ours in batches / procrastinate at its best", best / procrastinate, 10)
    report.goal(
        "ours one by one / pgqueuer at its defaults",
        max(rates[Ours(1).name]) / max(rates[PgQueuer(10).name]),
        1,
    )


async def wakeups(server: Server, report: Report) -> None:
    url = await server.database()
    await Ours(1).prepare(url)
    delays = await wakeup.measure(url, 200)
    p50, p99 = statistics.median(delays), statistics.quantiles(delays, n=100)[98]
    print(f"submit → claimed by an idle worker: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    report.goal("5 ms / wake-up p50", 0.005 / p50, 1)


async def depths(server: Server, report: Report, rows: int) -> None:
    url = await server.database()
    await Ours(1).prepare(url)
    empty = await depth.claims(url)
    print(f"{'claim + report beside nothing':<76} {empty:>10,.0f} jobs/s", flush=True)
    for what, fill in depth.FILLINGS.items():
        url = await server.database()
        await Ours(1).prepare(url)
        await fill(url, rows)
        rate = await depth.claims(url)
        print(f"claim + report beside {what.format(rows=rows):<54} {rate:>10,.0f} jobs/s", flush=True)
        report.goal(f"beside {what.format(rows=rows)} / beside nothing", rate / empty, 0.8)


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=20_000, help="no-op jobs of the fastest measurement")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how deep the deep tables are")
    parser.add_argument("--only", choices=["submit", "burn", "wakeup", "depth"])
    given, report = parser.parse_args(), Report()
    with tempfile.TemporaryDirectory(prefix="etl-bench-") as directory:
        Path(directory).chmod(0o755)
        data = Path(directory) / "postgres"
        postgres = EmbeddedPostgres(data)
        try:
            server = Server(await postgres.start(), data)
            if given.only in (None, "submit"):
                await submits(server, report, given.jobs // 20)
            if given.only in (None, "burn"):
                await burns(server, report, given.jobs)
            if given.only in (None, "wakeup"):
                await wakeups(server, report)
            if given.only in (None, "depth"):
                await depths(server, report, given.rows)
        finally:
            await postgres.stop()
    print("missed: " + "; ".join(report.missed) if report.missed else "every goal held")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

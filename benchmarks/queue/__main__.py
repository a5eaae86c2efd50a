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
from benchmarks.queue import depth, horizon, wakeup
from benchmarks.queue.contender import Contender, together
from benchmarks.queue.ours import Ours
from benchmarks.queue.pgqueuer import PgQueuer
from benchmarks.queue.procrastinate import Procrastinate

BEST_BATCH = 100
TURNS = 5


class Report:
    """Lines for a person, the goals that were missed, and all rates as parts of the best of their kind."""

    def __init__(self) -> None:
        self.missed: list[str] = []
        self._rates: dict[str, dict[str, float]] = {}

    def rate(self, what: str, name: str, jobs: int, seconds: float) -> float:
        print(f"{what:<34} {name:<42} {jobs / seconds:>10,.0f} jobs/s", flush=True)
        self._rates.setdefault(what, {})[name] = jobs / seconds
        return jobs / seconds

    def relative(self) -> None:
        """The only figures that can be compared between two runs."""
        names = list(dict.fromkeys(name for rates in self._rates.values() for name in rates))
        if names:
            print("\n% of the best".ljust(43) + "".join(f"{what:>30}" for what in self._rates))
        for name in names:
            shares = [
                f"{100 * rates[name] / max(rates.values()):.0f}" if name in rates else ""
                for rates in self._rates.values()
            ]
            print(f"{name:<42}" + "".join(f"{share:>30}" for share in shares))

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


async def burn(server: Server, contender: Contender, jobs: int, workers: int) -> float:
    url = await server.database()
    await contender.prepare(url)
    await contender.submit_batch(url, jobs)
    return await asyncio.to_thread(together, contender, url, workers)


async def turns(
    server: Server, report: Report, contenders: tuple[Contender, ...], jobs: int, workers: int
) -> dict[str, float]:
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(3):
        for contender in contenders:
            seconds[contender.name].append(await burn(server, contender, count(contender, jobs), workers))
    what = f"claim + report, {workers} workers"
    return {
        contender.name: report.rate(
            what, contender.name, count(contender, jobs), statistics.median(seconds[contender.name])
        )
        for contender in contenders
    }


def count(contender: Contender, jobs: int) -> int:
    """Each contender works for seconds, so that what it prepares at its start does not count."""
    return jobs // 4 if isinstance(contender, Procrastinate) else jobs


async def burns(server: Server, report: Report, jobs: int) -> None:
    """By turns, medians of three: on a shared machine a minute is another machine."""
    rates: dict[str, float] = {}
    kinds: dict[int, tuple[Contender, ...]] = {
        100: (Ours(BEST_BATCH), PgQueuer(BEST_BATCH), Ours(BEST_BATCH, starts=True)),
        10: (Ours(10), PgQueuer(10), Procrastinate(10)),
        1: (Ours(1), PgQueuer(1), Procrastinate(1)),
    }
    for size, contenders in kinds.items():
        each = {100: 2 * jobs, 10: jobs // 2, 1: jobs // 10}[size]
        for workers in (1, 4):
            for name, rate in (await turns(server, report, contenders, each, workers)).items():
                rates[name] = max(rate, rates.get(name, 0))

    def best(*contenders: Contender) -> float:
        return max(rates[contender.name] for contender in contenders)

    pgqueuer, procrastinate = (
        best(PgQueuer(10), PgQueuer(BEST_BATCH)),
        best(Procrastinate(1), Procrastinate(10)),
    )
    ours = best(Ours(BEST_BATCH))
    report.goal("ours in batches / the faster peer at its best", ours / max(pgqueuer, procrastinate), 1)
    report.goal("ours in batches / procrastinate at its best", ours / procrastinate, 10)
    # A batch of ten is two commits for ten jobs, one by one is twenty: like is compared with like.
    report.goal("ours in tens / pgqueuer at its defaults, tens", best(Ours(10)) / best(PgQueuer(10)), 1)
    report.goal("ours one by one / pgqueuer one by one", best(Ours(1)) / best(PgQueuer(1)), 1)
    report.goal("ours one by one / procrastinate one by one", best(Ours(1)) / best(Procrastinate(1)), 1)
    print(f"  for the record: ours one by one / pgqueuer in tens: {best(Ours(1)) / best(PgQueuer(10)):.2f}")


async def wakeups(server: Server, report: Report) -> None:
    url = await server.database()
    await Ours(1).prepare(url)
    delays = await wakeup.measure(url, 200)
    p50, p99 = statistics.median(delays), statistics.quantiles(delays, n=100)[98]
    print(f"submit → claimed by an idle worker: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    report.goal("5 ms / wake-up p50", 0.005 / p50, 1)


async def depths(server: Server, report: Report, rows: int) -> None:
    """By turns with an empty database: on a shared machine a minute is another machine."""
    empty = await server.database()
    await Ours(1).prepare(empty)
    for what, fill in depth.FILLINGS.items():
        url, name = await server.database(), what.format(rows=rows)
        await Ours(1).prepare(url)
        await fill(url, rows)
        pairs = [(await depth.claims(empty), await depth.claims(url)) for _ in range(TURNS)]
        nothing, beside = (statistics.median(rates) for rates in zip(*pairs, strict=True))
        print(f"claim + report beside {name:<40} {beside:>8,.0f} jobs/s, beside nothing {nothing:>8,.0f}")
        report.goal(f"beside {name} / beside nothing", beside / nothing, 0.8)


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=20_000, help="no-op jobs of the fastest measurement")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how deep the deep tables are")
    parser.add_argument("--seconds", type=float, default=60, help="how long the other transaction is open")
    parser.add_argument("--only", choices=["submit", "burn", "wakeup", "depth", "horizon"])
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
            if given.only in (None, "horizon"):
                url = await server.database()
                await Ours(1).prepare(url)
                await horizon.measure(url, given.seconds)
        finally:
            await postgres.stop()
    report.relative()
    print("missed: " + "; ".join(report.missed) if report.missed else "every goal held")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

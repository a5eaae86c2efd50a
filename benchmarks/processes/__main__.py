"""`./run bench processes`: prints what was measured, and exits 1 where a goal was missed."""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx

from benchmarks.processes import product
from benchmarks.processes.peers import PARALLEL, TASK_SPOOLER, XARGS

TRUE = ("/bin/true",)
PYTHON = (sys.executable, "-S", "-E", "-c", "pass")
WARM_UP = 100


class Report:
    """Lines for a person, and the goals that were missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def rate(self, what: str, name: str, jobs: int, seconds: float | None) -> float | None:
        rate = None if seconds is None else jobs / seconds
        told = "not installed" if rate is None else f"{rate:,.0f} jobs/s"
        print(f"{what:<34} {name:<20} {told:>16}", flush=True)
        return rate

    def goal(self, what: str, measured: float, least: float) -> None:
        held = measured >= least
        print(
            f"  goal: {what}: {measured:.2f} (at least {least:g}) {'held' if held else 'MISSED'}", flush=True
        )
        if not held:
            self.missed.append(what)


def rates(
    client: httpx.Client, report: Report, program: Sequence[str], jobs: int, slots: int
) -> dict[str, float]:
    what = f"{jobs:,} of {Path(program[0]).name}"
    measured = {"etl": report.rate(what, "etl", jobs, product.run(client, program, jobs))}
    for peer in (XARGS, PARALLEL, TASK_SPOOLER):
        measured[peer.name] = report.rate(what, peer.name, jobs, peer.run(program, jobs, slots))
    return {name: rate for name, rate in measured.items() if rate is not None}


def first_instructions(client: httpx.Client, report: Report, jobs: int) -> None:
    delays = product.starts(client, jobs)
    p50, p95 = statistics.median(delays), statistics.quantiles(delays, n=20)[18]
    print(f"submit → first instruction: p50 {p50 * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms")
    report.goal("15 ms / first instruction p50", 0.015 / p50, 1)
    report.goal("30 ms / first instruction p95", 0.030 / p95, 1)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2000, help="of /bin/true")
    parser.add_argument("--scripts", type=int, default=300, help="of python3 -S -E -c pass")
    parser.add_argument("--starts", type=int, default=200, help="one after the other, for the delay")
    parser.add_argument("--slots", type=int, default=4)
    given, report = parser.parse_args(), Report()
    print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="etl-bench-") as directory,
        product.served(Path(directory), given.slots) as client,
    ):
        Path(directory).chmod(0o755)
        product.run(client, TRUE, WARM_UP)
        first_instructions(client, report, given.starts)
        true = rates(client, report, TRUE, given.jobs, given.slots)
        scripts = rates(client, report, PYTHON, given.scripts, given.slots)
    if TASK_SPOOLER.name in true:
        report.goal("/bin/true, ours / task-spooler", true["etl"] / true[TASK_SPOOLER.name], 0.5)
    report.goal("/bin/true, ours / 300 jobs/s", true["etl"] / 300, 1)
    if XARGS.name in scripts:
        report.goal("python, ours / xargs", scripts["etl"] / scripts[XARGS.name], 0.8)
    print("missed: " + "; ".join(report.missed) if report.missed else "every goal held")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())

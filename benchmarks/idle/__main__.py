"""`./run bench idle`: what `etl serve` takes while nobody asks it for anything, PostgreSQL included, and how
long it takes to be ready. Exits 1 where a goal was missed. As root, or smaps of other users are not readable.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.idle.tree import cpu_seconds, pss_by_process
from entrypoints.cli.started_server import StartedServer

MIB = 1024 * 1024
PSS_MIB, CPU_PERCENT, WARM_SECONDS, FIRST_SECONDS = 150.0, 1.0, 2.0, 6.0
PEERS = (("Airflow 3.3", 949, 5.7), ("Prefect 3.8 + PG", 346, 2.9), ("Dagster 1.13", 516, 3.1))
PEERS_TOO = (("Cronicle 0.9", 108, 0.45), ("Slurm 22.05", 16, None))


def started(directory: Path) -> tuple[StartedServer, float]:
    (directory / "scripts").mkdir(exist_ok=True)
    began = time.monotonic()
    server = StartedServer.start(directory, directory / "scripts")
    return server, time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run bench idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is watched")
    seconds = parser.parse_args().seconds
    missed = []

    def goal(what: str, measured: float, most: float, unit: str) -> None:
        held = measured < most
        print(f"{what:<24} {measured:8.2f} {unit} (less than {most:g}) {'held' if held else 'MISSED'}")
        missed.extend([] if held else [what])

    with tempfile.TemporaryDirectory(prefix="etl-idle-") as place:
        directory = Path(place)
        directory.chmod(0o755)
        server, first = started(directory)
        server.stop()
        server, warm = started(directory)
        try:
            before = cpu_seconds(server.pid)
            time.sleep(seconds)
            percent = (cpu_seconds(server.pid) - before) / seconds * 100
            pss = pss_by_process(server.pid)
        finally:
            server.stop()
    for name, size in pss:
        print(f"  {size / MIB:7.1f} MiB  {name}")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    goal("PSS", sum(size for _, size in pss) / MIB, PSS_MIB, "MiB")
    goal("CPU, of one core", percent, CPU_PERCENT, "%")
    goal("start to ready, warm", warm, WARM_SECONDS, "s")
    goal("start to ready, first", first, FIRST_SECONDS, "s")
    print("beside (measured elsewhere, on another day):")
    for peer, peer_pss, cpu in (*PEERS, *PEERS_TOO):
        print(f"  {peer:<20} {peer_pss} MiB" + (f", {cpu} % of a core" if cpu is not None else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

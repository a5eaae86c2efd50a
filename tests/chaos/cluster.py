"""Real workers on a real PostgreSQL, and every way to hurt them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psycopg

LEASE_SECONDS = 3.0
ETL = Path(__file__).parents[2] / "src/entrypoints/cli/__main__.py"


@dataclass
class WorkerProcess:
    """`etl worker` with a data directory of its own, as on a machine of its own."""

    name: str
    directory: Path
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    began_at: int = 0

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    def start(self) -> None:
        data = self.directory / self.name
        data.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self.began_at = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(ETL), "worker"],
                env={
                    **os.environ,
                    **self.environment,
                    "ETL_DATA__DIRECTORY": str(self.directory / self.name),
                },
                cwd=self.directory,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def started(self) -> None:
        """Until this life of it claims: a signal before that ends it as it ends any process."""
        async with asyncio.timeout(60):
            while b"worker_started" not in self.log.read_bytes()[self.began_at :]:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(timeout=60)


@dataclass
class Cluster:
    """Workers, the database's address, and the pid of its postmaster."""

    url: str
    postmaster: Callable[[], int]
    workers: list[WorkerProcess] = field(default_factory=list)
    random: Random = field(default_factory=Random)
    done: list[str] = field(default_factory=list)

    async def hurt(self) -> None:
        """One fault, chosen at random; what it stops is going again when this returns."""
        fault = self.random.choice(self._faults())
        self.done.append(fault.__name__.strip("_"))
        await fault()

    def _faults(self) -> list[Callable[[], Awaitable[None]]]:
        # Killed workers are the commonest fault of the four.
        return [
            self._kill_worker,
            self._kill_worker,
            self._stop_worker,
            self._cut_connections,
            self._crash_database,
        ]

    async def _kill_worker(self) -> None:
        worker = self.random.choice(self.workers)
        worker.kill()
        await asyncio.sleep(self.random.uniform(0, LEASE_SECONDS * 1.5))
        worker.start()

    async def _stop_worker(self) -> None:
        worker = self.random.choice(self.workers)
        worker.send(signal.SIGSTOP)
        await asyncio.sleep(LEASE_SECONDS * 1.6)
        worker.send(signal.SIGCONT)

    async def _cut_connections(self) -> None:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND usename = current_user"
            )

    async def _crash_database(self) -> None:
        os.kill(self.postmaster(), signal.SIGQUIT)  # immediate shutdown: recovery from the log follows
        await asyncio.sleep(self.random.uniform(0.5, 2))

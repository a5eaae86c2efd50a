"""A worker in this process: the real parts, real programs, and a lease as short as is allowed."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.command import Command
from domain.policy import RetryPolicy
from entrypoints.container import Container
from entrypoints.settings import Settings
from entrypoints.settings.schema import Data, Database, Logs, Scripts, Worker
from tests.builders import a_job
from tests.chaos.ledger import Ledger

LEASE = 3.0
PROGRAM = """#!{python} -IS
import os, time
ledger = os.open({ledger!r}, os.O_WRONLY | os.O_APPEND)
who = f"{{os.environ['ETL_JOB_ID']}} {{os.environ['ETL_FENCE']}}"
def mark(word):
    os.write(ledger, f"{{who}} {{word}} {{time.clock_gettime_ns(time.CLOCK_BOOTTIME)}}\\n".encode())
mark("start")
while not os.path.exists({gate!r}):
    time.sleep(0.02)
    mark("tick")
mark("end")
"""


@dataclass
class Place:
    """Where the nodes of a test live: one directory of scripts, one of logs, a ledger and a gate."""

    directory: Path

    def __post_init__(self) -> None:
        self.scripts.mkdir()
        self.ledger = Ledger(self.directory)
        text = PROGRAM.format(python=sys.executable, ledger=self.ledger.tag, gate=str(self.gate))
        self.script("wait", text)
        self.script("quick.sh", "exit 0\n")

    @property
    def scripts(self) -> Path:
        return self.directory / "scripts"

    @property
    def gate(self) -> Path:
        """Once it exists every `wait` ends well."""
        return self.directory / "gate"

    def script(self, name: str, text: str) -> str:
        path = self.scripts / name
        path.write_text(text)
        path.chmod(0o755)
        return name

    def job(self, script: str = "wait", max_attempts: int = 1, **spec: Any) -> Any:
        """Waits for the gate, and marks in the ledger that it lives; tried again without a pause."""
        retry = RetryPolicy(max_attempts=max_attempts, delay_seconds=0, jitter=0)
        return a_job(command=Command(script=script), retry=retry, stop_grace_seconds=0.2, **spec)

    def settings(self, name: str, *, lease: float, last_lease: float, pool: int) -> Settings:
        return Settings(
            data=Data(directory=self.directory / name),
            database=Database(pool=pool),
            scripts=Scripts(directory=self.scripts),
            worker=Worker(slots=2, lease=lease, last_lease=last_lease, poll=0.2),
            logs=Logs(directory=self.directory / "logs"),
        )

    @asynccontextmanager
    async def node(
        self,
        url: str,
        name: str = "one",
        *,
        lease: float = LEASE,
        last_lease: float = 60.0,
        pool: int = 4,
        **parts: Any,
    ) -> AsyncIterator[Container]:
        """A worker from its start to its stop. `parts` replace those of the container."""
        settings = self.settings(name, lease=lease, last_lease=last_lease, pool=pool)
        for directory in (settings.data.directory, settings.logs_directory):
            directory.mkdir(parents=True, exist_ok=True)
        container = Container(settings=settings, database_url=url, **parts)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(container.database().close)
            await container.database().open()
            stack.push_async_callback(container.notifier().close)
            await container.notifier().open()
            stack.push_async_callback(container.worker().stop)
            await container.worker().start()
            yield container

    def log(self, name: str) -> str:
        """What the worker of this name has said of itself (worker_process.py)."""
        return (self.directory / f"{name}.log").read_text()

    def marks(self, job_id: Any, fence: int = 1) -> list[tuple[str, int]]:
        """What this attempt says of itself: (word, CLOCK_BOOTTIME ns)."""
        return self.ledger.entries()[job_id][fence].marks

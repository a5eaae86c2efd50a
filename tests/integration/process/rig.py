"""A run directory, a worker's life on it, and eyes on the machine's processes."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.process.run_directory import name_of
from adapters.process.runner import SupervisedProcessRunner
from adapters.process.running import SupervisedProcess
from adapters.process.supervisor import tree
from adapters.process.supervisor.group import V1, V2, Group
from adapters.system.clock import SystemClock
from application.ports.process_runner import Launch
from domain.attempt import Exit
from domain.log import LogRef
from domain.resources import Resources

CLOCK = SystemClock()
PYTHON = (sys.executable, "-I", "-S", "-c")
PATIENCE_SECONDS = 30.0
looks_into_the_zygote = pytest.mark.skipif(
    os.geteuid() != 0, reason="the zygote is not dumpable: only root can list its descriptors"
)
CONTAINMENTS = [V2, V1, "subreaper"]
WAYS: dict[str, dict[str, Any]] = {"spawned": {}, "forked": {"resources": Resources(cpu_seconds=3600.0)}}
"""How a program is started: a limit that the kernel keeps is set in a fork of the supervisor."""


@dataclass
class Rig:
    """Every program gets the `mark` as its last argument: by it survivors are found, however they hide."""

    directory: Path
    runner: SupervisedProcessRunner
    mark: str = field(default_factory=lambda: f"mark-{uuid4()}")
    way: str = "spawned"

    @property
    def run_directory(self) -> Path:
        """The first seat in what its workers share."""
        return self.directory / "run" / "1"

    @property
    def zygote(self) -> int:
        assert self.runner._zygote is not None
        return self.runner._zygote.pid

    def launch(self, *argv: str, **changes: Any) -> Launch:
        job_id = uuid4()
        facts: dict[str, Any] = {
            "ref": LogRef(job_id=job_id, fence=1),
            "argv": argv,
            "environment": {"PATH": "/usr/bin:/bin"},
            "directory": self.directory,
            "log": self.directory / f"{job_id}.log",
            "timeout_seconds": 60.0,
            "stop_grace_seconds": 0.3,
            "deadline": CLOCK.elapsed() + 60,
        }
        return Launch(**(facts | WAYS[self.way] | changes))

    async def start(self, *argv: str, **changes: Any) -> SupervisedProcess:
        return await self.runner.start(self.launch(*argv, **changes))

    async def start_python(self, source: str, **changes: Any) -> SupervisedProcess:
        return await self.start(*PYTHON, source, self.mark, **changes)

    async def start_sleep(self, **changes: Any) -> SupervisedProcess:
        return await self.start("/bin/sh", "-c", "while :; do sleep 1000; done", self.mark, **changes)

    async def run(self, *argv: str, **changes: Any) -> tuple[Exit, bytes]:
        """The end and the log."""
        process = await self.start(*argv, **changes)
        return await process.wait(), self.log(process)

    async def run_python(self, source: str, **changes: Any) -> tuple[Exit, bytes]:
        return await self.run(*PYTHON, source, self.mark, **changes)

    async def run_sh(self, line: str, **changes: Any) -> tuple[Exit, bytes]:
        return await self.run("/bin/sh", "-c", line, self.mark, **changes)

    def log(self, process: SupervisedProcess) -> bytes:
        file = self.log_file(process)
        return file.read_bytes() if file.exists() else b""

    def log_file(self, process: SupervisedProcess) -> Path:
        return self.directory / f"{process.ref.job_id}.log"

    def attempt_directory(self, process: SupervisedProcess) -> Path:
        return self.run_directory / name_of(process.ref)

    def scratch(self, process: SupervisedProcess) -> Path:
        return self.run_directory / "work" / name_of(process.ref)

    async def says(self, process: SupervisedProcess, text: bytes) -> bytes:
        """Waits until the program has written this into its log."""
        log = self.log_file(process)
        await eventually(lambda: log.exists() and text in log.read_bytes())
        return log.read_bytes()

    def survivors(self) -> list[int]:
        return processes_with(self.mark)


@asynccontextmanager
async def a_rig(
    directory: Path, containment: str | None = None, user: str | None = None
) -> AsyncIterator[Rig]:
    """Closes with the proof that holds for every test: no process of any program is left, and the
    zygote and the supervisors had nothing to complain about. None: the best that the machine has.
    """
    kinds = {None: (V2, V1), V2: (V2,), V1: (V1,)}.get(containment, ())
    rig = Rig(directory, SupervisedProcessRunner(directory / "run", user, kinds))
    await rig.runner.open()
    if containment is not None and kinds and rig.runner._means.groups is None:
        await rig.runner.close()
        pytest.skip(f"{containment}: this process may make no such group here")
    yield rig
    await rig.runner.close()
    assert rig.survivors() == []
    assert (rig.run_directory / "supervisor.log").read_text() == ""


async def eventually(holds: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what the kernel knows wakes nobody here
            await asyncio.sleep(0.01)


def processes_with(mark: str) -> list[int]:
    """Live processes whose command line holds the mark."""
    found = []
    for pid, (_, state, _) in tree.snapshot().items():
        if state not in tree.DEAD and mark.encode() in _command_line(pid):
            found.append(pid)
    return found


def groups_of(rig: Rig, pid: int) -> list[Path]:
    """The control groups among the runner's own in which it is."""
    groups = rig.runner._means.groups
    found = [] if groups is None else [path for path in groups.iterdir() if path.is_dir()]
    return [path for path in found if pid in Group(str(path)).processes()]


def supervisor_of(pid: int) -> int:
    """The parent of an attempt's main process."""
    entry = tree.entry_of(pid)
    assert entry is not None
    return entry[0]


def children_of(parent: int) -> list[int]:
    return [pid for pid, entry in tree.snapshot().items() if entry[0] == parent]


def is_alive(pid: int) -> bool:
    entry = tree.entry_of(pid)
    return entry is not None and entry[1] not in tree.DEAD


def wait_until(holds: Callable[[], object]) -> None:
    """`eventually` where there is no event loop."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

"""Runs programs as supervised process trees that outlive the worker, and stops all of a tree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from domain.attempt import Exit, Stop
from domain.log import LogRef
from domain.policy import LeftBehind
from domain.resources import UNLIMITED, Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start. `argv[0]` is an absolute path; no shell is involved and standard input is empty.

    `environment` is all that the program gets; the runner adds `ETL_WORK_DIR`, a scratch directory
    of its own, removed with the attempt. `log` is where its output goes (LogStore.target): at most
    `log_max_bytes` of it are kept, the head and the latest tail, and `secrets` are masked in it.
    `deadline` is on Clock.elapsed(): past it, unless extended, the supervisor stops the tree.
    """

    ref: LogRef
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    timeout_seconds: float
    stop_grace_seconds: float
    deadline: float
    log_max_bytes: int = 1024**3
    secrets: tuple[str, ...] = ()
    resources: Resources = UNLIMITED
    left_behind: LeftBehind = LeftBehind.KILL


class RunningProcess(Protocol):
    """A handle on one attempt's process tree, in this process life or adopted from the one before."""

    @property
    def ref(self) -> LogRef: ...

    async def wait(self) -> Exit:
        """How it ended: when this returns no process of the tree is alive but those that it was to keep,
        or the Exit names how many are. May be awaited again. A supervisor that died gives `lost`.
        """

    def stop(self, why: Stop = Stop.CANCEL) -> None:
        """SIGTERM to the tree, SIGKILL to what is left after the grace. May be called again: the first
        `why`, which is CANCEL or WORKER, stands in the Exit.
        """

    def extend(self, deadline: float) -> None:
        """The lease was renewed: the tree may live until `deadline`."""

    async def forget(self) -> None:
        """Removes the attempt's files but the log, once its report has been accepted. Never before:
        until then they are what a restarted worker learns the end from.
        """


class ProcessRunner(Protocol):
    """Starts, and finds again. Long-lived: `open` before use, `close` leaves running trees alone."""

    async def open(self) -> None:
        """May be called again."""

    async def close(self) -> None:
        """Lets go of every tree without stopping it: a restarted worker adopts them. May be called again."""

    async def start(self, launch: Launch) -> RunningProcess:
        """Always returns a handle; a program that could not be started ends at once, and its Exit
        says why in `start_error`.
        """

    async def adopt(self) -> Sequence[RunningProcess]:
        """Every attempt that an earlier process life of this worker started and did not forget,
        running or ended meanwhile. Processes that lost their supervisor are stopped first.
        """

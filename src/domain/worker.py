"""Workers as the queue knows them, and the lease that lets them report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class WorkerState(StrEnum):
    """What a worker does."""

    UP = "up"
    """It claims and runs."""

    DRAINING = "draining"
    """It claims nothing more, and ends what it has."""

    DEAD = "dead"
    """Its lease expired, or it left. One way: a worker that comes back begins a new session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One process life of a worker. `id` is new at every start: a host name or a pod name comes
    back, and would let a dead worker's attempts pass as a living one's.

    `queues` is empty for "all".
    """

    id: UUID
    host: str
    pid: int
    version: str
    slots: int
    queues: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    state: WorkerState = WorkerState.UP
    started_at: datetime | None = None
    seen_at: datetime | None = None
    running: int = 0

    @property
    def name(self) -> str:
        """How people find it: `host:pid`."""
        return f"{self.host}:{self.pid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """How long an attempt is safe without a renewal, in seconds.

    `seconds` holds for an attempt that may be repeated, `last_seconds` for the last one: nobody
    else may start that job, so a long silence need not kill it. A supervisor stops its program
    `margin_seconds` before the database may call the attempt lost.
    """

    seconds: float = 60.0
    last_seconds: float = 900.0
    margin_seconds: float = 10.0
    renew_every_seconds: float = 10.0

    def deadline(self, asked_at: float, *, last: bool) -> float:
        """The instant, on the clock of `asked_at`, at which a program must have been stopped.

        `asked_at` was read *before* the last join or renewal was sent: the database set the expiry
        later than that, so this deadline comes before it. Only rates of clocks matter, never values.
        """
        return asked_at + (self.last_seconds if last else self.seconds) - self.margin_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One attempt that a session still holds, as a renewal brings it back."""

    job_id: UUID
    fence: int
    is_last_attempt: bool
    cancel_requested: bool

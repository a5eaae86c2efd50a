"""Wake-ups. Never a guarantee: whoever listens also polls."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class JobsWaiting:
    """There may be something to claim in this queue."""

    queue: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The session's worker should stop this job now."""

    session_id: UUID
    job_id: UUID


@dataclass(frozen=True, slots=True)
class JobChanged:
    """The state of this job changed."""

    job_id: UUID


@dataclass(frozen=True, slots=True)
class Reconnected:
    """Notices may have been missed: look again."""


Notice = JobsWaiting | CancelRequested | JobChanged | Reconnected


Wanted = Callable[[Notice], bool]


def every(_: Notice) -> bool:
    return True


def changes_of(job_id: UUID) -> Wanted:
    wanted = JobChanged(job_id)
    return lambda notice: notice == wanted


class Subscription(Protocol):
    """Notices that arrived since it was opened. Bounded: equal ones are kept once."""

    async def wait(self, seconds: float) -> frozenset[Notice]:
        """Returns as soon as there is something, empty after `seconds`."""


class Notifier(Protocol):
    """Tells every process of this installation, cheaply and soon."""

    def publish(self, *notices: Notice) -> None:
        """After the commit that it tells of. Returns at once, coalesces, and never raises."""

    def subscribe(self, wanted: Wanted = every) -> AbstractAsyncContextManager[Subscription]:
        """To the notices of every process, this one included, for which `wanted` holds, and to Reconnected.
        Others wake nobody: at full load a process hears of a thousand changes a second.
        """

"""Counts of what this process does. Nothing is ever decided by them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from domain.attempt import Ending


class Renewed(StrEnum):
    """How the renewal of a lease went."""

    IN_TIME = "in_time"
    LATE = "late"
    """It was answered, but more than two pauses after the one before."""

    FAILED = "failed"
    """The database did not answer; the worker asks again at once."""

    DEAD = "dead"
    """The session had been given up, and the worker began another."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is looked at when somebody asks. `read` answers at once: labels and value of each sample."""

    name: str
    meaning: str
    read: Callable[[], Iterable[tuple[Mapping[str, str], float]]]
    labels: tuple[str, ...] = ()


class Meters(Protocol):
    """Every call returns at once, never raises, and costs microseconds. What is kept is bounded: no
    figure is kept for a job, a queue, a caller or an address. Durations are in seconds.
    """

    def submitted(self, jobs: int) -> None:
        """New jobs were accepted; those of a replayed request are not new."""

    def claimed(self, seconds: float, waited: Sequence[float]) -> None:
        """A claim was answered after `seconds`; `waited` is, for each job in the answer, since when it
        could have run. That compares two machines' wall clocks, so less than 0 counts as 0.
        """

    def woken(self, seconds: float) -> None:
        """From a notice, heard while a slot was free, to the answer of the claim that it caused."""

    def program_started(self, seconds: float) -> None:
        """From the order to start a program to the supervisor that has it."""

    def attempt_ended(self, ending: Ending) -> None:
        """A report of this process was accepted."""

    def rescued(self, attempts: int) -> None:
        """Attempts whose lease had expired were ended as lost, or put back."""

    def renewed(self, how: Renewed) -> None: ...

    def answered(self, operation: str, method: str, status: int, seconds: float) -> None:
        """An HTTP request, by the id of its operation; never by its path, which holds ids."""

"""What a job asks of the orchestrator beside running: when to try again, and what to share with whom."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.attempt import Outcome, Reason
from domain.errors import Place

RETRYABLE: Final = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST)
MAX_ATTEMPTS: Final = 1000
MAX_FACTOR: Final = 100
YEAR_SECONDS: Final = 366 * 24 * 3600
"""The longest wait, timeout or grace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, when and after which ends a job is tried again. The default is one attempt.

    `exit_codes`, where given, narrows `failed` to those codes.
    """

    max_attempts: int = 1
    delay_seconds: float = 10.0
    factor: float = 2.0
    max_delay_seconds: float = 3600.0
    jitter: float = 0.1
    on: tuple[Outcome, ...] = RETRYABLE
    exit_codes: tuple[int, ...] = ()

    def allows(self, attempt: int, outcome: Outcome, reason: Reason) -> bool:
        """Whether attempt number `attempt`, which ended so, is followed by another."""
        if attempt >= self.max_attempts or outcome not in self.on:
            return False
        return outcome is not Outcome.FAILED or not self.exit_codes or reason.exit_code in self.exit_codes

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds to wait after attempt number `attempt`: exponential, capped, then spread by
        ±`jitter` with `chance` in [0, 1), so that a thousand failures do not come back at once.
        """
        # The exponent is bounded because 2.0 ** 2000 raises OverflowError where the cap should apply.
        grown = min(self.delay_seconds * self.factor ** min(attempt - 1, 64), self.max_delay_seconds)
        return max(0.0, grown * (1 + self.jitter * (2 * chance - 1)))

    def faults(self) -> Iterator[Place]:
        """Each value outside its range."""
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            yield Place("/retry/max_attempts", f"must be from 1 to {MAX_ATTEMPTS}")
        if not 0 <= self.delay_seconds <= YEAR_SECONDS:
            yield Place("/retry/delay_seconds", f"must be from 0 to {YEAR_SECONDS}")
        if not 0 <= self.max_delay_seconds <= YEAR_SECONDS:
            yield Place("/retry/max_delay_seconds", f"must be from 0 to {YEAR_SECONDS}")
        if not 1 <= self.factor <= MAX_FACTOR:
            yield Place("/retry/factor", f"must be from 1 to {MAX_FACTOR}")
        if not 0 <= self.jitter <= 1:
            yield Place("/retry/jitter", "must be from 0 to 1")
        if not set(self.on) <= set(RETRYABLE):
            yield Place("/retry/on", "may hold failed, timed_out and lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyLimit:
    """At most `limit` jobs that name this `key` run at once, over all queues and workers."""

    key: str
    limit: int = 1


class LeftBehind(StrEnum):
    """What becomes of processes that are still alive when the main one has gone."""

    KILL = "kill"
    """They are stopped, and counted."""

    KEEP = "keep"
    """They live on if the main process has exited with status 0 by itself, and the record names them. After
    any other end (status, signal, cancel, timeout, limit, lease) they are stopped all the same.
    """

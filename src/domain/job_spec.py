"""What a job is to do: one request to run one command once to success."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Self

from domain.command import Command, environment_faults
from domain.errors import Place
from domain.policy import YEAR_SECONDS, ConcurrencyLimit, LeftBehind, RetryPolicy
from domain.resources import Resources

MAX_LABELS: Final = 32
MIN_PRIORITY: Final = -100
MAX_PRIORITY: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A job request as accepted; it never changes. Durations are in seconds.

    `timeout_seconds` and `stop_grace_seconds` are None until the submit has filled in the defaults.
    Of two waiting jobs the one with the higher `priority` goes first, then the older one.
    """

    command: Command
    environment: Mapping[str, str] = field(default_factory=dict)
    queue: str = "default"
    priority: int = 0
    not_before: datetime | None = None
    expires_at: datetime | None = None
    timeout_seconds: float | None = None
    stop_grace_seconds: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: ConcurrencyLimit | None = None
    resources: Resources = field(default_factory=Resources)
    left_behind: LeftBehind = LeftBehind.KILL
    labels: Mapping[str, str] = field(default_factory=dict)
    traceparent: str | None = None
    """Where the request stands in its caller's trace (W3C Trace Context); the script gets it too."""

    def with_defaults(self, timeout_seconds: float, stop_grace_seconds: float) -> Self:
        return replace(
            self,
            timeout_seconds=timeout_seconds if self.timeout_seconds is None else self.timeout_seconds,
            stop_grace_seconds=(
                stop_grace_seconds if self.stop_grace_seconds is None else self.stop_grace_seconds
            ),
        )

    def faults(self) -> Iterator[Place]:
        """Each place at which this could never run."""
        yield from self.command.faults()
        yield from environment_faults(self.environment)
        yield from self.retry.faults()
        yield from self.resources.faults()
        if not MIN_PRIORITY <= self.priority <= MAX_PRIORITY:
            yield Place("/priority", f"must be from {MIN_PRIORITY} to {MAX_PRIORITY}")
        if self.not_before and self.expires_at and self.expires_at <= self.not_before:
            yield Place("/expires_at", "is not after `not_before`, so the job would never run")
        # Written so that NaN, which compares as false with everything, is a fault too.
        if self.timeout_seconds is not None and not 0 < self.timeout_seconds <= YEAR_SECONDS:
            yield Place("/timeout_seconds", f"must be more than 0 and at most {YEAR_SECONDS}")
        if self.stop_grace_seconds is not None and not 0 <= self.stop_grace_seconds <= YEAR_SECONDS:
            yield Place("/stop_grace_seconds", f"must be from 0 to {YEAR_SECONDS}")
        if self.concurrency and self.concurrency.limit < 1:
            yield Place("/concurrency/limit", "must be 1 or more")
        if len(self.labels) > MAX_LABELS:
            yield Place("/labels", f"holds more than {MAX_LABELS}")

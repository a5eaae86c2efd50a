"""The trace of a job: its request, each wait, each attempt and its program, below one another."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from application.ports.tracer import Span, SpanKind, Tracer
from domain.attempt import Ending, Outcome
from domain.job import Job
from domain.trace import TraceContext

_parsed: Final = lru_cache(1024)(TraceContext.parse)
"""An attempt looks at it three times, and the jobs of a batch have the same."""


@dataclass(frozen=True, slots=True)
class TraceAttempt:
    """A job without a context, of before there were any, has no trace."""

    tracer: Tracer

    def claimed(self, job: Job, at: datetime) -> None:
        """The wait has ended that this attempt began with."""
        if (request := _request(job)) is None:
            return
        began_at = min(job.due_at, at)  # the wall clock of another machine may be ahead
        self._record(job, "wait", request, (began_at, at))

    def program_context(self, job: Job) -> str | None:
        """What the program gets as TRACEPARENT."""
        if (request := _request(job)) is None:
            return None
        attempt = self.tracer.below(request, _key(job, "attempt"))
        return str(self.tracer.below(attempt, _key(job, "process")))

    def ended(
        self, job: Job, ending: Ending, began_at: datetime | None, ended_at: datetime, reported_at: datetime
    ) -> None:
        """`began_at` is None for an adopted attempt: it is reckoned from what its program took then."""
        if (request := _request(job)) is None:
            return
        usage = ending.exit.usage
        took = timedelta(seconds=usage.wall_seconds if usage else 0)
        began_at = began_at or ended_at - took
        self._record(job, "attempt", request, (began_at, reported_at), ending)
        if usage is not None:
            attempt = self.tracer.below(request, _key(job, "attempt"))
            self._record(job, "process", attempt, (ended_at - took, ended_at), ending)

    def _record(
        self,
        job: Job,
        name: str,
        parent: TraceContext,
        times: tuple[datetime, datetime],
        ending: Ending | None = None,
    ) -> None:
        context = self.tracer.below(parent, _key(job, name))
        if context == parent:  # it is not recorded, and most are not: three spans were a thirtieth of a job
            return
        span = Span(
            context=context,
            parent=parent,
            name=name,
            kind=SpanKind.CONSUMER if name == "attempt" else SpanKind.INTERNAL,
            began_at=times[0],
            ended_at=times[1],
            attributes=_attributes(job, ending),
            error=_error(ending),
        )
        self.tracer.record(span)


def _request(job: Job) -> TraceContext | None:
    return _parsed(job.spec.traceparent)


def _error(ending: Ending | None) -> str | None:
    if ending is None or ending.outcome is Outcome.SUCCEEDED:
        return None
    return ending.reason.message


def _key(job: Job, name: str) -> str:
    return f"{job.id}-{job.fence}-{name}"


def _attributes(job: Job, ending: Ending | None) -> dict[str, str | int]:
    """No arguments and no environment: they may hold secrets."""
    told: dict[str, str | int] = {
        "etl.job.id": str(job.id),
        "etl.queue": job.spec.queue,
        "etl.attempt": job.attempt,
        "etl.fence": job.fence,
    }
    if job.spec.command.script is not None:
        told["etl.script"] = job.spec.command.script
    if ending is not None:
        told |= {"etl.outcome": str(ending.outcome), "etl.reason": ending.reason.code}
        if ending.reason.exit_code is not None:
            told["process.exit.code"] = ending.reason.exit_code
    return told

"""A job: the five states that one request passes through.

Every decision about a job is a method here: from a job to the job that follows it, or a refusal.
Adapters apply them under the row's lock. The drawing is docs/state-machine.md.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from domain.attempt import Ending, Outcome, Reason, Usage
from domain.errors import IllegalTransition, JobIsFinal, JobIsNotFinal
from domain.job_spec import JobSpec


class JobState(StrEnum):
    """Where a job is. The last three are final and are never left."""

    QUEUED = "queued"
    """Waiting: for a time (`not_before`), for a limit, or for a worker with a free slot."""

    RUNNING = "running"
    """Claimed by a worker; `fence` says by which claim."""

    SUCCEEDED = "succeeded"
    """An attempt succeeded."""

    FAILED = "failed"
    """The last attempt that the policy allows did not succeed; `reason` says why."""

    CANCELLED = "cancelled"
    """Somebody asked for it, or it was still queued at `expires_at`."""

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
MAX_PUT_BACKS: Final = 10
"""How many lost claims whose program never started are free. More than a bad day gives, and an end
for a job that kills whoever claims it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job at one moment.

    `attempt` is the number of tries so far; a claim whose program was never started is given back
    and does not count. `fence` grows with each claim and never goes back: a report that carries an
    older one is refused. `not_before` is the spec's, later the end of a retry's wait.
    `started_at` is the first start. `outcome` and `reason` are those of the latest ended attempt.
    `put_backs` counts the claims that were given back, while the job is live.
    """

    id: UUID
    spec: JobSpec
    submitted_at: datetime
    submitted_by: str
    retry_of: UUID | None = None
    state: JobState = JobState.QUEUED
    not_before: datetime | None = None
    attempt: int = 0
    fence: int = 0
    session_id: UUID | None = None
    worker: str | None = None
    attempt_started: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    usage: Usage | None = None
    put_backs: int = 0

    @property
    def is_last_attempt(self) -> bool:
        """Whether no other attempt can follow the one at hand, so that only its own end can end it."""
        return self.attempt >= self.spec.retry.max_attempts

    @property
    def is_put_back_if_lost(self) -> bool:
        """Whether the loss of this claim costs no attempt: its program never started, and that has not
        happened too often.
        """
        return not self.attempt_started and self.put_backs < MAX_PUT_BACKS

    def why_lost(self) -> str:
        """One sentence for an attempt whose worker nobody hears of any more."""
        if self.attempt_started:
            return f"Worker {self.worker} died, or could not renew its lease in time."
        return (
            f"Worker {self.worker} died before it started the program; "
            f"{self.put_backs} claims before this one were put back."
        )

    @property
    def due_at(self) -> datetime:
        """From when on it may run, or could have; by the wall clock of the machine that submitted it."""
        return self.not_before or self.submitted_at

    def is_due(self, at: datetime) -> bool:
        return self.state is JobState.QUEUED and (self.not_before is None or self.not_before <= at)

    # -- a worker's side -------------------------------------------------------------------------

    def claimed(self, session_id: UUID, worker: str) -> Self:
        """One more attempt, under a new fence. The program has not started yet."""
        self._require(JobState.QUEUED)
        return replace(
            self,
            state=JobState.RUNNING,
            attempt=self.attempt + 1,
            fence=self.fence + 1,
            session_id=session_id,
            worker=worker,
            attempt_started=False,
        )

    def started(self, at: datetime) -> Self:
        """Committed *before* the program is executed, so that "never started" can be proven.

        Refused when a cancel has been asked for: then there is nothing to start.
        """
        self._require(JobState.RUNNING)
        if self.cancel_requested_at is not None:
            raise IllegalTransition(f"Job {self.id} was cancelled before it started.")
        return replace(self, attempt_started=True, started_at=self.started_at or at)

    def adopted(self, session_id: UUID, worker: str) -> Self:
        """The same attempt under a new process life of its worker: fence and number stay."""
        self._require(JobState.RUNNING)
        return replace(self, session_id=session_id, worker=worker)

    def ended(self, ending: Ending, at: datetime, chance: float) -> Self:
        """The attempt ended: the job is final, or queued again after the policy's delay.

        `chance` in [0, 1) spreads the delay. A job whose cancel was asked for is never tried again.
        """
        self._require(JobState.RUNNING)
        told = {"outcome": ending.outcome, "reason": ending.reason, "usage": ending.exit.usage}
        state = self._state_after(ending)
        if state.is_final:
            return self._finished(state, at, **told)
        wait = timedelta(seconds=self.spec.retry.delay(self.attempt, chance))
        return self._released(at + wait, **told)

    def _state_after(self, ending: Ending) -> JobState:
        if ending.outcome is Outcome.SUCCEEDED:
            return JobState.SUCCEEDED
        if ending.outcome is Outcome.CANCELLED or self.cancel_requested_at is not None:
            return JobState.CANCELLED
        if self.spec.retry.allows(self.attempt, ending.outcome, ending.reason):
            return JobState.QUEUED
        return JobState.FAILED

    def put_back(self, at: datetime) -> Self:
        """The claim is given back because its program never started: the attempt does not count."""
        self._require(JobState.RUNNING)
        if self.attempt_started:
            raise IllegalTransition(f"Attempt {self.attempt} of job {self.id} has started.")
        after = replace(self, attempt=self.attempt - 1, put_backs=self.put_backs + 1)
        if self.cancel_requested_at is not None:
            return after._cancelled(at, code="cancelled", message="Cancelled before it started.")
        return after._released(self.not_before)

    # -- a caller's side -------------------------------------------------------------------------

    def cancel(self, at: datetime) -> Self:
        """Queued: cancelled at once. Running: asked for; the worker stops it. Cancelled: unchanged.

        Raises JobIsFinal in the other final states.
        """
        match self.state:
            case JobState.QUEUED:
                return self._cancelled(at, code="cancelled", message="Cancelled while it was queued.")
            case JobState.RUNNING:
                return replace(self, cancel_requested_at=self.cancel_requested_at or at)
            case JobState.CANCELLED:
                return self
            case JobState.SUCCEEDED | JobState.FAILED:
                raise JobIsFinal(f"Job {self.id} has already {self.state}.")

    def expired(self, at: datetime) -> Self:
        """Still queued at `expires_at`: cancelled, so that a late job does no harm."""
        self._require(JobState.QUEUED)
        return self._cancelled(at, code="expired", message="Still queued at its `expires_at`.")

    def retried(self, job_id: UUID, at: datetime, by: str) -> "Job":
        """A new job of the same spec. Raises JobIsNotFinal while this one may still end well."""
        if not self.state.is_final:
            raise JobIsNotFinal(f"Job {self.id} is {self.state}.")
        spec = replace(self.spec, not_before=None, expires_at=None)
        return Job(id=job_id, spec=spec, submitted_at=at, submitted_by=by, retry_of=self.id)

    # -- shared ----------------------------------------------------------------------------------

    def _require(self, state: JobState) -> None:
        if self.state is not state:
            raise IllegalTransition(f"Job {self.id} is {self.state}, not {state}.")

    def _finished(self, state: JobState, at: datetime, **told: Any) -> Self:
        return replace(
            self,
            state=state,
            finished_at=at,
            session_id=None,
            not_before=None,
            put_backs=0,
            **told,
        )

    def _released(self, not_before: datetime | None, **told: Any) -> Self:
        return replace(
            self,
            state=JobState.QUEUED,
            not_before=not_before,
            session_id=None,
            worker=None,
            attempt_started=False,
            **told,
        )

    def _cancelled(self, at: datetime, code: str, message: str) -> Self:
        reason = Reason(code=code, message=message)
        return self._finished(JobState.CANCELLED, at, outcome=Outcome.CANCELLED, reason=reason)


def submitted_at(job_id: UUID) -> datetime:
    """When the job of this id was submitted, to the millisecond: ids are UUIDv7 (RFC 9562, 5.7)."""
    return datetime.fromtimestamp((job_id.int >> 80) / 1000, UTC)


def new_job(job_id: UUID, spec: JobSpec, at: datetime, by: str) -> Job:
    """The first state of every job."""
    return Job(id=job_id, spec=spec, submitted_at=at, submitted_by=by, not_before=spec.not_before)

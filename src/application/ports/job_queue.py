"""The durable queue: what callers, workers and maintenance do with live jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self
from uuid import UUID

from domain.attempt import Ending
from domain.job import Job
from domain.log import LogRef
from domain.queue import Queue
from domain.worker import Holding


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """The caller's Idempotency-Key, in the caller's own namespace, with a digest of the request."""

    owner: str
    key: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The jobs as they stand in the queue; `replayed` if an earlier request with this key made them."""

    jobs: tuple[Job, ...]
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claimed job, and the name of its attempt: every report carries the fence."""

    job_id: UUID
    fence: int

    @classmethod
    def of(cls, named: Job | Holding | LogRef) -> Self:
        """The claim under which this job, holding or log stands."""
        return cls(job_id=named.id if isinstance(named, Job) else named.job_id, fence=named.fence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How the attempt of this fence ended."""

    job_id: UUID
    fence: int
    ending: Ending


Decision = Callable[[Job], Job]


class JobQueue(Protocol):
    """Each change of a job is one transaction, which holds its event too. A method that covers many
    jobs may take more than one, each complete in itself.

    All raise DatabaseUnavailable when the store cannot be reached; what was asked may then have
    been done, and asking again does no harm.
    """

    # -- callers ----------------------------------------------------------------------------------

    async def submit(
        self, jobs: Sequence[Job], idempotency: Idempotency | None = None, key_id: UUID | None = None
    ) -> Submitted:
        """All or none. When it has returned, the jobs survive kill -9 of every process.

        The same idempotency key with the same digest returns the jobs of the first request; of
        two at the same moment one waits for the other. Raises IdempotencyKeyReused if the digest
        differs.

        `key_id` is the API key that the request came with. Whether it stands is asked in the same
        transaction; raises Unauthenticated if it is revoked or unknown, and then nothing was done.
        """

    async def change(self, job_id: UUID, decide: Decision, actor: str) -> Job:
        """Applies `decide` to the job under its row's lock and stores what it returns.

        What `decide` raises passes through, and nothing is changed. Raises JobNotFound, and
        IllegalTransition if a final job would change.
        """

    # -- workers ----------------------------------------------------------------------------------

    async def claim(self, session_id: UUID, limit: int) -> Sequence[Job]:
        """At most `limit` due jobs of the session's queues, higher priority first, then older.

        Each is given to this session alone: rivals skip rows that are locked. None from a paused
        queue, none past a limit of its queue or key, none to a session that is draining or whose
        lease has expired.
        """

    async def start(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Records that the programs are about to be executed; returns those that may be.

        A claim that is not returned lost its fence, or its cancel was asked for: do not start it.
        """

    async def report(self, reports: Sequence[Report]) -> Sequence[Job]:
        """Ends attempts; returns the jobs as they stand now, of those reports that counted.

        A report whose fence is not the current one is left out: it changes nothing, ever. The same
        report again, after a lost answer, is accepted and changes nothing.
        """

    async def put_back(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Gives back claims whose programs were never started; no attempt is used up."""

    async def adopt(self, session_id: UUID, claims: Sequence[Claim]) -> Sequence[Job]:
        """Moves attempts to a new session of their worker; returns those whose fence is still current."""

    # -- maintenance: each is idempotent, so that two leaders do no harm ----------------------------

    async def rescue(self, limit: int) -> Sequence[Job]:
        """Ends attempts whose lease has expired as `lost`, or puts them back if they never started.

        Declares sessions dead one way, under their row's lock, so that a renewal and a rescue
        cannot both win. An attempt that is its job's last outlives its session until `last_seconds`.
        Returns the jobs as they stand now.
        """

    async def expire(self, limit: int) -> Sequence[Job]:
        """Cancels jobs that are still queued past their `expires_at`."""

    async def promote(self) -> int:
        """Releases jobs that were parked behind a limit which has room again, should their wake-up
        have been missed. Returns how many.
        """

    # -- queues -------------------------------------------------------------------------------------

    async def queues(self) -> Sequence[Queue]:
        """All queues that were ever named, by name."""

    async def pause(self, queue: str, by: str) -> Queue:
        """No more claims from this queue; what runs goes on. Raises QueueNotFound."""

    async def resume(self, queue: str) -> Queue:
        """Raises QueueNotFound."""

    async def set_slots(self, queue: str, slots: int | None) -> Queue:
        """Limits the running jobs of this queue over all workers; what runs goes on. Makes the queue."""

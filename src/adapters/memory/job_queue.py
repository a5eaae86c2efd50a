"""The queue in memory: every transition is the domain's, every method one step of the event loop."""

from collections.abc import Sequence
from uuid import UUID

from adapters.memory.queues import MemoryQueues
from adapters.memory.records import Records, Request
from application.ports.clock import Chance, Clock
from application.ports.job_queue import Claim, Decision, Idempotency, Report, Submitted
from domain.access import NOT_VALID
from domain.attempt import Ending, Exit, judge
from domain.errors import IdempotencyKeyReused, IllegalTransition, Unauthenticated
from domain.job import Job
from domain.worker import Worker

MAINTENANCE = "maintenance"


class MemoryJobQueue(MemoryQueues):
    """JobQueue. Nothing is parked behind a limit here: each claim looks at every waiting job."""

    def __init__(self, records: Records, clock: Clock, chance: Chance) -> None:
        super().__init__(records, clock)
        self._chance = chance

    # -- callers ----------------------------------------------------------------------------------

    async def submit(
        self, jobs: Sequence[Job], idempotency: Idempotency | None = None, key_id: UUID | None = None
    ) -> Submitted:
        if key_id and not self._records.stands(key_id):
            raise Unauthenticated(NOT_VALID)
        if idempotency and (earlier := self._records.requests.get((idempotency.owner, idempotency.key))):
            if earlier.digest != idempotency.digest:
                raise IdempotencyKeyReused("This Idempotency-Key came before with another request.")
            return Submitted(jobs=tuple(self._records.jobs[i] for i in earlier.job_ids), replayed=True)
        for job in jobs:
            if job.id not in self._records.jobs:
                self._make_queue(job.spec.queue)
                self._records.store(job, self._clock.now(), job.submitted_by)
        ids = tuple(job.id for job in jobs)
        if idempotency:
            request = Request(digest=idempotency.digest, job_ids=ids)
            self._records.requests[idempotency.owner, idempotency.key] = request
        return Submitted(jobs=tuple(self._records.jobs[i] for i in ids))

    async def change(self, job_id: UUID, decide: Decision, actor: str) -> Job:
        before = self._records.job(job_id)
        after = decide(before)
        if before.state.is_final and after != before:
            raise IllegalTransition(f"Job {job_id} has already {before.state}.")
        return self._records.store(after, self._clock.now(), actor)

    # -- workers ----------------------------------------------------------------------------------

    async def claim(self, session_id: UUID, limit: int) -> Sequence[Job]:
        session = self._records.sessions.get(session_id)
        claimed: list[Job] = []
        if session is None or not session.may_claim(self._clock.elapsed()):
            return claimed
        for job in self._records.waiting(self._clock.now()):
            if len(claimed) >= limit:
                break
            if session.serves(job.spec.queue) and self._has_room(job):
                claimed.append(self._claim(job, session.worker))
        return claimed

    def _claim(self, job: Job, worker: Worker) -> Job:
        at = self._clock.now()
        after = job.claimed(worker.id, worker.name)
        self._records.open_attempt(after, worker, at)
        return self._records.store(after, at, _actor(after))

    async def start(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        return [claim for claim in claims if self._start(claim)]

    def _start(self, claim: Claim) -> bool:
        job = self._records.held(claim.job_id, claim.fence)
        if job is None or job.cancel_requested_at is not None:
            return False
        if not job.attempt_started:
            at = self._clock.now()
            self._records.store(job.started(at), at, _actor(job))
            self._records.amend_attempt(job, started_at=at)
        return True

    async def report(self, reports: Sequence[Report]) -> Sequence[Job]:
        return [job for report in reports if (job := self._report(report)) is not None]

    def _report(self, report: Report) -> Job | None:
        if job := self._records.held(report.job_id, report.fence):
            return self._end(job, report.ending, _actor(job))
        job = self._records.jobs.get(report.job_id)
        if job is None or job.fence != report.fence:
            return None
        return job if self._records.attempts[job.id][job.fence].ending == report.ending else None

    async def put_back(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        return [claim for claim in claims if self._give_back(claim)]

    def _give_back(self, claim: Claim) -> bool:
        job = self._records.held(claim.job_id, claim.fence)
        if job is None or job.attempt_started:
            return False
        self._put_back(job, _actor(job))
        return True

    async def adopt(self, session_id: UUID, claims: Sequence[Claim]) -> Sequence[Job]:
        session = self._records.sessions.get(session_id)
        if session is None or not session.lives(self._clock.elapsed()):
            return []
        held = [job for c in claims if (job := self._records.held(c.job_id, c.fence))]
        return [self._adopt(job, session.worker) for job in held]

    def _adopt(self, job: Job, worker: Worker) -> Job:
        self._records.amend_attempt(job, session_id=worker.id, worker=worker.name)
        after = job.adopted(worker.id, worker.name)
        return self._records.store(after, self._clock.now(), _actor(after))

    # -- maintenance ------------------------------------------------------------------------------

    async def rescue(self, limit: int) -> Sequence[Job]:
        at = self._clock.elapsed()
        self._records.bury_expired(at)
        return [self._rescue(job) for job in self._records.lost(at)[:limit]]

    def _rescue(self, job: Job) -> Job:
        if job.is_put_back_if_lost:
            return self._put_back(job, MAINTENANCE)
        return self._end(job, judge(Exit(lost=job.why_lost()), job.spec.timeout_seconds or 0), MAINTENANCE)

    async def expire(self, limit: int) -> Sequence[Job]:
        at = self._clock.now()
        return [
            self._records.store(job.expired(at), at, MAINTENANCE) for job in self._records.late(at)[:limit]
        ]

    async def promote(self) -> int:
        return 0

    # -- shared -----------------------------------------------------------------------------------

    def _end(self, job: Job, ending: Ending, actor: str) -> Job:
        at = self._clock.now()
        self._records.amend_attempt(job, finished_at=at, ending=ending)
        return self._records.store(job.ended(ending, at, self._chance.fraction()), at, actor)

    def _put_back(self, job: Job, actor: str) -> Job:
        at = self._clock.now()
        self._records.amend_attempt(job, finished_at=at)
        return self._records.store(job.put_back(at), at, actor)


def _actor(job: Job) -> str:
    return f"worker {job.worker}"

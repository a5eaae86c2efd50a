"""Workers' sessions in memory."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from adapters.memory.records import Records, Session
from application.ports.clock import Clock
from application.ports.worker_registry import Renewal
from domain.errors import Conflict, WorkerNotFound
from domain.job import Job
from domain.worker import Holding, LeaseTerms, Worker, WorkerState


class MemoryWorkerRegistry:
    """WorkerRegistry."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def join(self, worker: Worker, terms: LeaseTerms) -> None:
        if worker.id in self._records.sessions:
            raise Conflict(f"Session {worker.id} was used before.")
        now = self._clock.now()
        self._lease(replace(worker, state=WorkerState.UP, started_at=now, seen_at=now), terms)

    async def renew(self, session_id: UUID, terms: LeaseTerms) -> Renewal | None:
        session = self._alive(session_id)
        if session is None:
            return None
        self._lease(replace(session.worker, seen_at=self._clock.now()), terms)
        holdings = tuple(_holding(job) for job in self._records.running(session_id))
        return Renewal(holdings=holdings, draining=session.worker.state is WorkerState.DRAINING)

    async def leave(self, session_id: UUID) -> None:
        if session := self._alive(session_id):
            self._records.sessions[session_id] = session.dead(self._clock.elapsed())

    async def drain(self, worker_id: UUID) -> Worker:
        if (session := self._alive(worker_id)) is None:
            raise WorkerNotFound(f"There is no live worker {worker_id}.")
        worker = replace(session.worker, state=WorkerState.DRAINING)
        self._records.sessions[worker_id] = replace(session, worker=worker)
        return self._with_count(worker)

    async def list(self) -> Sequence[Worker]:
        at = self._clock.elapsed()
        living = (s.worker for s in self._records.sessions.values() if s.lives(at))
        return sorted((self._with_count(w) for w in living), key=lambda w: (w.started_at, w.id))

    async def forget_dead(self, older_than_seconds: float) -> int:
        until = self._clock.elapsed() - older_than_seconds
        dead = [i for i, s in self._records.sessions.items() if s.died_at is not None and s.died_at <= until]
        idle = [i for i in dead if not any(self._records.running(i))]
        for session_id in idle:
            del self._records.sessions[session_id]
        return len(idle)

    def _alive(self, session_id: UUID) -> Session | None:
        session = self._records.sessions.get(session_id)
        return session if session and session.lives(self._clock.elapsed()) else None

    def _lease(self, worker: Worker, terms: LeaseTerms) -> None:
        at = self._clock.elapsed()
        self._records.sessions[worker.id] = Session(
            worker=worker, lease_until=at + terms.seconds, last_lease_until=at + terms.last_seconds
        )

    def _with_count(self, worker: Worker) -> Worker:
        return replace(worker, running=sum(1 for _ in self._records.running(worker.id)))


def _holding(job: Job) -> Holding:
    return Holding(
        job_id=job.id,
        fence=job.fence,
        is_last_attempt=job.is_last_attempt,
        cancel_requested=job.cancel_requested_at is not None,
    )

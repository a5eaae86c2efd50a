"""Jobs in memory, as they are read and forgotten."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from adapters.memory.records import Records
from application.ports.clock import Clock
from application.ports.job_history import JobFilter
from domain.attempt import Attempt
from domain.event import Event
from domain.job import Job
from domain.waiting import Held, Surroundings

MOST_AHEAD: Final = 100


class MemoryJobHistory:
    """JobHistory."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def get(self, job_id: UUID) -> Job:
        return self._records.job(job_id)

    async def find(self, prefix: str, limit: int) -> Sequence[UUID]:
        digits = prefix.replace("-", "").lower()
        return sorted((i for i in self._records.jobs if i.hex.startswith(digits)), reverse=True)[:limit]

    async def list(self, matching: JobFilter, before: UUID | None, limit: int) -> Sequence[Job]:
        older = (j for j in self._records.jobs.values() if before is None or j.id < before)
        return sorted((j for j in older if _matches(j, matching)), key=lambda j: j.id, reverse=True)[:limit]

    async def attempts(self, job_id: UUID) -> Sequence[Attempt]:
        self._records.job(job_id)
        return [attempt for _, attempt in sorted(self._records.attempts.get(job_id, {}).items())]

    async def events(self, job_id: UUID) -> Sequence[Event]:
        self._records.job(job_id)
        return tuple(self._records.events[job_id])

    async def surroundings(self, job: Job) -> Surroundings:
        at = self._clock.elapsed()
        queue = self._records.queues[job.spec.queue]
        serving = [s for s in self._records.sessions.values() if s.may_claim(at) and s.serves(queue.name)]
        running = (sum(1 for _ in self._records.running(s.worker.id)) for s in serving)
        ahead = self._ahead(job)
        return Surroundings(
            paused_by=queue.paused_by,
            held=next(self._full(job), None),
            workers_serving=len(serving),
            free_slots=sum(max(0, s.worker.slots - n) for s, n in zip(serving, running, strict=True)),
            ahead=min(ahead, MOST_AHEAD),
            ahead_is_more=ahead > MOST_AHEAD,
        )

    def _full(self, job: Job) -> Iterator[Held]:
        queue, key = self._records.queues[job.spec.queue], job.spec.concurrency
        if key and len(holders := self._records.holders_of_key(key.key)) >= key.limit:
            yield Held(name=key.key, limit=key.limit, holders=holders)
        if (
            queue.slots is not None
            and len(holders := self._records.holders_of_queue(queue.name)) >= queue.slots
        ):
            yield Held(name=queue.name, limit=queue.slots, holders=holders)

    def _ahead(self, job: Job) -> int:
        waiting = self._records.waiting(self._clock.now())
        mine = (-job.spec.priority, job.id)
        return sum(j.spec.queue == job.spec.queue and (-j.spec.priority, j.id) < mine for j in waiting)

    async def prune(self, finished_before: datetime, limit: int) -> Sequence[UUID]:
        ended = ((job.finished_at, job.id) for job in self._records.jobs.values() if job.finished_at)
        old = [job_id for at, job_id in sorted(ended) if at < finished_before][:limit]
        for job_id in old:
            self._forget(job_id)
        return old

    def _forget(self, job_id: UUID) -> None:
        del self._records.jobs[job_id], self._records.events[job_id]
        self._records.attempts.pop(job_id, None)
        kept = {k: r for k, r in self._records.requests.items() if job_id not in r.job_ids}
        self._records.requests = kept


def _matches(job: Job, wanted: JobFilter) -> bool:
    after, before = wanted.submitted_after, wanted.submitted_before
    return (
        (not wanted.states or job.state in wanted.states)
        and (wanted.queue is None or job.spec.queue == wanted.queue)
        and (wanted.script is None or job.spec.command.script == wanted.script)
        and set(wanted.labels) <= set(job.spec.labels.items())
        and (after is None or job.submitted_at > after)
        and (before is None or job.submitted_at < before)
    )

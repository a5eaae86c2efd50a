"""The durable queue on PostgreSQL: each method is one transaction, repeated after a deadlock."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import (
    claiming,
    locking,
    maintaining,
    parking,
    queues,
    quick_claim,
    quick_report,
    quick_start,
    quick_submit,
    reporting,
    submitting,
    tidying,
)
from adapters.postgres.engine import Database
from adapters.postgres.storing import Change, store
from application.ports.clock import Chance
from application.ports.job_queue import Claim, Decision, Idempotency, Report, Submitted
from domain.errors import DatabaseUnavailable, IllegalTransition, JobNotFound
from domain.job import Job
from domain.queue import Queue

CLAIMS: Final = 4
"""How often a claim is tried again because jobs that it parked could go after all."""


class PostgresJobQueue:
    """JobQueue."""

    def __init__(self, database: Database, chance: Chance) -> None:
        self._database = database
        self._chance = chance
        self._tidied_up_to = ""
        self._counted = queues.Counted(database)
        self._gathered = quick_submit.Gathered(database)

    # -- callers ----------------------------------------------------------------------------------

    async def submit(
        self, jobs: Sequence[Job], idempotency: Idempotency | None = None, key_id: UUID | None = None
    ) -> Submitted:
        if quick_submit.is_quick(jobs) and await self._submit_quickly(jobs, idempotency, key_id):
            return Submitted(jobs=tuple(jobs))
        return await self._database.run(lambda c: submitting.submit(c, jobs, idempotency, key_id))

    async def change(self, job_id: UUID, decide: Decision, actor: str) -> Job:
        return await self._database.run(lambda c: _change(c, job_id, decide, actor))

    # -- workers ----------------------------------------------------------------------------------

    async def claim(self, session_id: UUID, limit: int) -> Sequence[Job]:
        """As the port says. A claim that parked jobs looks once more, after its commit, whether a
        unit was freed in between: then nobody else would wake them.
        """
        quick = await quick_claim.claim(self._database, session_id, limit)
        jobs = list(quick.jobs)
        if quick.is_all:
            return jobs
        for _ in range(CLAIMS):
            wanted = limit - len(jobs)
            claimed = await self._claim(session_id, wanted)
            jobs += claimed.jobs
            if len(jobs) == limit or not await self._settle(claimed.parked_on):
                break
        return jobs

    async def start(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        started = await quick_start.start(self._database, claims)
        if len(started) < len(claims):
            rest = [claim for claim in claims if (claim.job_id, claim.fence) not in started]
            granted = await self._database.run(lambda c: reporting.start(c, rest))
            started |= {(claim.job_id, claim.fence) for claim in granted}
        return [claim for claim in claims if (claim.job_id, claim.fence) in started]

    async def report(self, reports: Sequence[Report]) -> Sequence[Job]:
        counted, freed = dict[tuple[UUID, int], Job](), set[str]()
        if quick_report.is_quick(reports):
            quick = await quick_report.report(self._database, reports)
            counted, freed = quick.jobs, set(quick.freed)
        if rest := [r for r in reports if (r.job_id, r.fence) not in counted]:
            chance = self._chance
            counted |= await self._database.run(lambda c: reporting.report(c, rest, chance, freed))
        await self._settle(freed)
        return [counted[key] for key in dict.fromkeys((r.job_id, r.fence) for r in reports) if key in counted]

    async def put_back(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        freed: set[str] = set()
        given_back = await self._database.run(lambda c: reporting.put_back(c, claims, freed))
        await self._settle(freed)
        return given_back

    async def adopt(self, session_id: UUID, claims: Sequence[Claim]) -> Sequence[Job]:
        return await self._database.run(lambda c: reporting.adopt(c, session_id, claims))

    # -- maintenance ------------------------------------------------------------------------------

    async def rescue(self, limit: int) -> Sequence[Job]:
        freed: set[str] = set()
        jobs = await maintaining.rescue(self._database, limit, self._chance, freed)
        await self._settle(freed)
        return jobs

    async def expire(self, limit: int) -> Sequence[Job]:
        """As the port says; what else has outlived its use goes too, in transactions of its own."""
        jobs = await self._database.run(lambda c: maintaining.expire(c, limit))
        await self._database.run(tidying.forget_keys)
        looked_at = self._tidied_up_to
        self._tidied_up_to = await self._database.run(lambda c: tidying.drop_unused_units(c, looked_at))
        return jobs

    async def promote(self) -> int:
        return await self._database.run(maintaining.promote)

    # -- queues -------------------------------------------------------------------------------------

    async def queues(self) -> Sequence[Queue]:
        return await self._counted.read()

    async def pause(self, queue: str, by: str) -> Queue:
        self._counted.forget()
        return await self._database.run(lambda c: queues.pause(c, queue, by))

    async def resume(self, queue: str) -> Queue:
        self._counted.forget()
        return await self._database.run(lambda c: queues.resume(c, queue))

    async def set_slots(self, queue: str, slots: int | None) -> Queue:
        self._counted.forget()
        return await self._database.run(lambda c: queues.set_slots(c, queue, slots))

    async def _submit_quickly(
        self, jobs: Sequence[Job], idempotency: Idempotency | None, key_id: UUID | None
    ) -> bool:
        """An idempotent request may have to wait for another one's transaction, and waits alone."""
        if len(jobs) == 1 and idempotency is None:
            return await self._gathered(jobs[0], key_id)
        return await quick_submit.submit(self._database, jobs, idempotency, key_id)

    async def _claim(self, session_id: UUID, limit: int) -> claiming.Claimed:
        return await self._database.run(lambda c: claiming.claim(c, session_id, limit))

    async def _settle(self, scopes: set[str] | frozenset[str]) -> int:
        """After the commit that freed units or parked jobs: of a report and a claim at the same moment
        neither sees the other before. What a crash leaves out here, `promote` makes up for. Never
        raises where the database went away: what was done must still be told.
        """
        if not scopes:
            return 0
        try:
            return await self._database.run(lambda c: parking.settle(c, scopes))
        except DatabaseUnavailable:
            return 0


async def _change(connection: AsyncConnection, job_id: UUID, decide: Decision, actor: str) -> Job:
    locked = await locking.one(connection, job_id)
    if locked is None:
        raise JobNotFound(f"There is no job {job_id}.")
    before = locked.jobs[0]
    after = decide(before)
    if before.state.is_final and after != before:
        raise IllegalTransition(f"Job {job_id} has already {before.state}.")
    await store(connection, [Change(before, after, actor)], locked.at)
    return after

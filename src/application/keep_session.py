"""A worker's session: begin, renew, and begin again when the database has given it up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from application.held_attempts import Held, HeldAttempts
from application.ports.clock import Chance, Clock
from application.ports.job_queue import Claim, JobQueue
from application.ports.meters import Meters, Renewed
from application.ports.worker_registry import Renewal, WorkerRegistry
from application.settle_unknown import SettleUnknown
from domain.errors import DatabaseUnavailable
from domain.job import Job
from domain.worker import Holding, Worker


@dataclass(frozen=True, slots=True)
class BeginSession:
    """A new id and a fresh lease, for a worker that starts or that was given up."""

    workers: WorkerRegistry
    clock: Clock
    chance: Chance
    held: HeldAttempts
    worker: Worker

    async def __call__(self) -> UUID:
        asked_at, session_id = self.clock.elapsed(), self.chance.new_id()
        await self.workers.join(replace(self.worker, id=session_id), self.held.terms)
        self.held.session_id, self.held.renewed_at = session_id, asked_at
        return session_id


@dataclass(frozen=True, slots=True)
class AdoptAttempts:
    """Takes attempts of an earlier session into the present one; those that are lost are not returned."""

    queue: JobQueue
    held: HeldAttempts

    async def __call__(self, claims: Sequence[Claim]) -> Sequence[Job]:
        if self.held.session_id is None or not claims:
            return ()
        return await self.queue.adopt(self.held.session_id, claims)


@dataclass(frozen=True, slots=True)
class RenewSession:
    """Keeps what is held alive, stops what was cancelled, and stops what is no longer ours."""

    workers: WorkerRegistry
    begin: BeginSession
    adopt: AdoptAttempts
    settle_unknown: SettleUnknown
    clock: Clock
    meters: Meters
    held: HeldAttempts

    async def __call__(self) -> Renewal | None:
        """None where the session had died: a new one has begun then, with all that could be kept."""
        if self.held.session_id is None:
            return None
        asked_at = self.clock.elapsed()
        renewal = await self._asked(self.held.session_id, asked_at)
        if renewal is None:
            await self._begin_again()
            return None
        self.held.renewed_at = asked_at
        still_ours = {Claim.of(h): h for h in renewal.holdings}
        for held in self.held.all():
            self._apply(held, still_ours.get(held.claim), asked_at)
        await self.settle_unknown(renewal.holdings)
        return renewal

    async def _asked(self, session_id: UUID, asked_at: float) -> Renewal | None:
        try:
            renewal = await self.workers.renew(session_id, self.held.terms)
        except DatabaseUnavailable:
            self.meters.renewed(Renewed.FAILED)
            raise
        is_late = asked_at - self.held.renewed_at > 2 * self.held.terms.renew_every_seconds
        in_time = Renewed.LATE if is_late else Renewed.IN_TIME
        self.meters.renewed(Renewed.DEAD if renewal is None else in_time)
        return renewal

    def _apply(self, held: Held, holding: Holding | None, asked_at: float) -> None:
        if holding is None and held.since >= asked_at:
            return  # it began after the question was sent, so it is not in the answer
        if holding is None:
            self.held.disown(held)
            return
        # A cancelled one too: its grace may be longer than what is left of the lease.
        held.process.extend(self.held.deadline(is_last_attempt=held.is_last_attempt))
        if holding.cancel_requested:
            held.process.stop()

    async def _begin_again(self) -> None:
        dead, renewed_at = self.held.session_id, self.held.renewed_at
        await self.begin()
        before = self.held.all()  # what is held from here on finds the new session by itself (run_attempt.py)
        try:
            kept = {job.id for job in await self.adopt([held.claim for held in before])}
        except DatabaseUnavailable:
            # The next renewal finds the dead session again and adopts then. The new one would not
            # know these attempts, and its first renewal would stop them.
            self.held.session_id, self.held.renewed_at = dead, renewed_at
            raise
        for held in before:
            if held.claim.job_id in kept:
                held.process.extend(self.held.deadline(is_last_attempt=held.is_last_attempt))
            else:
                self.held.disown(held)

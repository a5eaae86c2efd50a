"""The worker: claims, renews and listens, until it is drained."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from application.asking.patience import until_answered
from application.claim_jobs import ClaimJobs
from application.held_attempts import HeldAttempts
from application.keep_session import AdoptAttempts, BeginSession, RenewSession
from application.ports.clock import Clock
from application.ports.job_queue import Claim
from application.ports.notifier import CancelRequested, JobChanged, JobsWaiting, Notice, Notifier, Reconnected
from application.ports.process_runner import ProcessRunner, RunningProcess
from application.ports.worker_registry import WorkerRegistry
from application.run_attempt import RunAttempt
from domain.errors import DatabaseUnavailable, DiskNearlyFull, DiskUnavailable, MachineFull, WorkerNotFound
from domain.job import Job
from entrypoints.telemetry import Outage
from entrypoints.worker.attempts import AttemptTasks

RETRY_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 5.0
"""How long a stop waits for starts and reports that are under way; longer only while the database is away."""
SETTLE_PAUSE: Final = 0.01

CLAIM_LOOP: Final = "worker-claim"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker is made of."""

    runner: ProcessRunner
    workers: WorkerRegistry
    notifier: Notifier
    held: HeldAttempts
    begin: BeginSession
    adopt: AdoptAttempts
    renew: RenewSession
    claim: ClaimJobs
    run: RunAttempt
    clock: Clock
    poll_seconds: float


class WorkerLoop:
    """`start`, then `drain`, and `stop`. `stop` lets go of what still runs: the supervisors keep it,
    and the next worker on this machine adopts it.
    """

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._held = parts.held
        self._attempts = AttemptTasks(parts.held, parts.run)
        self._draining = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Adopts what an earlier life of this worker left running, then claims."""
        parts = self._parts
        await parts.runner.open()
        left = await parts.runner.adopt()
        adopted = await until_answered(lambda: self._begin(left))
        self._attempts.take_over(left, adopted)
        self._loops = [
            asyncio.create_task(loop(), name=name)
            for name, loop in (
                ("worker-listen", self._listen),
                ("worker-renew", self._renew),
                (CLAIM_LOOP, self._claim),
            )
        ]
        session_id, slots = str(self._held.session_id), self._held.slots
        log.info("worker_started", session_id=session_id, slots=slots, adopted=len(adopted))

    async def _begin(self, left: Sequence[RunningProcess]) -> Sequence[Job]:
        """A session and the adoption in it, asked for together: a session that had died while the
        adoption waited for the database would adopt nothing, and all that runs would be stopped.
        """
        await self._parts.begin()
        return await self._parts.adopt([Claim.of(process.ref) for process in left])

    def drain(self) -> None:
        """No more claims. May be called again."""
        if not self._draining.is_set():
            log.info("worker_draining", running=self._held.taken)
        self._draining.set()
        self._held.draining = True
        self._held.wake.set()

    def stop_programs(self) -> None:
        """Ends what runs, each with its grace; `drained` returns when that was reported."""
        log.info("worker_stops_programs", running=self._held.taken)
        self._held.stop_all()

    async def drained(self) -> None:
        """Returns when the last attempt has ended and was reported."""
        await self._draining.wait()
        await self._attempts.finished()

    async def stop(self) -> None:
        """May be called again."""
        self.drain()
        await self._settle()
        left, session_id = self._held.taken, self._held.session_id
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._attempts.let_go()
        await self._parts.runner.close()
        self._loops, self._held.session_id = [], None
        if session_id is not None:
            await self._leave(session_id, left)
        log.info("worker_stopped", handed_over=left)

    async def _settle(self) -> None:
        """An attempt between the record of its start and its supervisor would be lost, and one whose end is
        being reported is best reported: both take milliseconds.
        """
        claiming = next((task for task in self._loops if task.get_name() == CLAIM_LOOP), None)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                if claiming is not None:
                    await asyncio.wait([claiming])
                while self._held.unsettled:  # noqa: ASYNC110 - an event at each start, for a stop that comes once
                    await asyncio.sleep(SETTLE_PAUSE)

    async def _leave(self, session_id: UUID, left: int) -> None:
        """A session that still holds something lives on, for whoever adopts that."""
        try:
            await (self._parts.workers.drain(session_id) if left else self._parts.workers.leave(session_id))
        except (DatabaseUnavailable, WorkerNotFound):
            log.info("worker_left_unsaid", session_id=str(session_id))  # it expires by itself

    # -- the loops -----------------------------------------------------------------------------------

    async def _claim(self) -> None:
        outage, full, crowded = Outage("claim"), Outage("claim", of="disk"), Outage("claim", of="machine")
        while not self._draining.is_set():
            self._held.wake.clear()
            try:
                jobs = await self._parts.claim()
            except DatabaseUnavailable:
                outage.began()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except (DiskNearlyFull, DiskUnavailable) as error:
                full.began(detail=error.detail)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except MachineFull as error:
                crowded.began(detail=error.detail)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            outage.ended()
            full.ended()
            crowded.ended()
            for job in jobs:
                self._attempts.run(job)
            if not jobs:
                await self._woken()

    async def _woken(self) -> None:
        try:
            async with asyncio.timeout(self._parts.poll_seconds):
                await self._held.wake.wait()
        except TimeoutError:
            return

    async def _renew(self) -> None:
        outage = Outage("renew")
        pause = self._held.terms.renew_every_seconds
        while True:
            await asyncio.sleep(pause)
            try:
                renewal = await self._parts.renew()
            except DatabaseUnavailable:
                outage.began()
                pause = RETRY_SECONDS
                continue
            outage.ended()
            pause = self._held.terms.renew_every_seconds
            if renewal is None:
                log.warning("session_began_again", session_id=str(self._held.session_id))
            elif renewal.draining:
                self.drain()

    async def _listen(self) -> None:
        async with self._parts.notifier.subscribe(_concerns_a_worker) as notices:
            while True:
                for notice in await notices.wait(self._parts.poll_seconds):
                    self._heard(notice)

    def _heard(self, notice: Notice) -> None:
        match notice:
            case JobsWaiting():
                self._held.hear(self._parts.clock.elapsed())
            case Reconnected():
                self._held.wake.set()
            case CancelRequested(session_id, job_id) if session_id == self._held.session_id:
                self._held.stop(job_id)
            case _:
                pass


def _concerns_a_worker(notice: Notice) -> bool:
    return not isinstance(notice, JobChanged)

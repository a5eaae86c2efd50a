"""The tasks of a worker, one an attempt; none of them fails unseen."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence

import structlog

from application.held_attempts import HeldAttempts
from application.ports.job_queue import Claim
from application.ports.process_runner import RunningProcess
from application.run_attempt import LateAttempt, RunAttempt
from domain.job import Job
from domain.trace import TraceContext

log = structlog.get_logger()


class AttemptTasks:
    """Runs claimed jobs and finishes adopted ones, each in a slot and a task of its own."""

    def __init__(self, held: HeldAttempts, run: RunAttempt) -> None:
        self._held = held
        self._run = run
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, job: Job) -> None:
        self._spawn(Claim.of(job), self._told(job, self._run(job)))

    def take_over(self, left: Sequence[RunningProcess], adopted: Sequence[Job]) -> None:
        """Goes on with what an earlier life of this worker left, and stops what is no longer ours."""
        ours = {Claim.of(job): job for job in adopted}
        for process in left:
            claim = Claim.of(process.ref)
            if (job := ours.get(claim)) is None:
                self._spawn(claim, _discard(process))
            else:
                process.extend(self._held.deadline(is_last_attempt=job.is_last_attempt))
                self._spawn(claim, self._told(job, self._run.finish(job, process)))

    async def finished(self) -> None:
        """Returns when no attempt is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def let_go(self) -> None:
        """The programs live on under their supervisors."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, claim: Claim, work: Coroutine[None, None, None]) -> None:
        # The slot is taken here, not in the task: the next claim must not count it as free.
        self._held.take_slot(claim)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(claim, task))

    def _ended(self, claim: Claim, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._held.free_slot(claim)

    async def _told(self, job: Job, attempt: Coroutine[None, None, Job | None]) -> None:
        """The lines of one attempt in the worker's log."""
        about = log.bind(job_id=str(job.id), attempt=job.attempt, fence=job.fence, **_trace_of(job))
        about.info("attempt_claimed", queue=job.spec.queue)
        try:
            after = await attempt
        except LateAttempt:
            about.warning("late_attempt")
            return
        except Exception:  # noqa: BLE001 - told with its stack; the worker goes on
            # Nobody extends its deadline any more, so its supervisor stops it (settle_unknown.py).
            about.exception("attempt_abandoned")
            return
        if after is None:
            about.warning("attempt_not_ours")
        else:
            about.info("attempt_ended", outcome=after.outcome, state=after.state)


def _trace_of(job: Job) -> Mapping[str, str]:
    context = TraceContext.parse(job.spec.traceparent)
    return {} if context is None else {"trace_id": context.trace_id}


async def _discard(process: RunningProcess) -> None:
    log.warning("attempt_discarded", job_id=str(process.ref.job_id), fence=process.ref.fence)
    process.stop()
    await process.wait()
    await process.forget()

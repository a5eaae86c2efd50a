"""Run an attempt: from a claim to an accepted report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from application.asking.batching import Batch
from application.asking.patience import until_answered
from application.held_attempts import Held, HeldAttempts
from application.ports.clock import Clock
from application.ports.job_queue import Claim, JobQueue, Report
from application.ports.log_store import LogStore
from application.ports.meters import Meters
from application.ports.notifier import JobChanged, JobsWaiting, Notifier
from application.ports.process_runner import Launch, ProcessRunner, RunningProcess
from application.ports.script_catalog import ScriptCatalog
from application.trace_attempt import TraceAttempt
from domain.attempt import Ending, Exit, Outcome, Stop, judge
from domain.errors import LogNotFound, UnknownScript
from domain.job import Job
from domain.log import LogRef, shown
from domain.secret import secret_values

FULL_SECONDS: Final = 5.0
"""How long a machine that could make no process claims nothing: its queue would fail job by job."""
LAST_LINES: Final = 20
"""How much of its log a failure carries in its reason."""


class LateAttempt(Exception):  # noqa: N818 - errors are called by what happened, as in domain.errors
    """A program has run here whose end does not count: its lease was over, and the job is somebody else's."""


class Reports:
    """The worker's word to the queue, many attempts in one statement, asked until answered."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._starts: Batch[Claim, bool] = Batch(self._start)
        self._ends: Batch[Report, Job | None] = Batch(self._report)

    async def may_start(self, claim: Claim) -> bool:
        """False: the fence is old or a cancel was asked for, so the program must not run."""
        return await self._starts(claim)

    async def ended(self, report: Report) -> Job | None:
        """The job as it stands now; None where the report came under an old fence and was refused."""
        return await self._ends(report)

    async def _start(self, claims: Sequence[Claim]) -> Sequence[bool]:
        accepted = set(await until_answered(lambda: self._queue.start(claims)))
        return [claim in accepted for claim in claims]

    async def _report(self, reports: Sequence[Report]) -> Sequence[Job | None]:
        jobs = {(job.id, job.fence): job for job in await until_answered(lambda: self._queue.report(reports))}
        return [jobs.get((report.job_id, report.fence)) for report in reports]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAttempt:
    """Starts what was claimed, waits for its end, and reports it.

    A crash at any point loses nothing: before the start is recorded the claim is put back without
    counting; after it the supervisor keeps the end until a worker has reported it.
    """

    queue: JobQueue
    reports: Reports
    runner: ProcessRunner
    logs: LogStore
    scripts: ScriptCatalog
    notifier: Notifier
    clock: Clock
    meters: Meters
    trace: TraceAttempt
    held: HeldAttempts
    environment: Mapping[str, str]
    """The names passed through from the worker's own environment."""
    log_max_bytes: int = 1024**3
    secrets: tuple[str, ...] = ()
    """What no log may hold, whatever the environment says."""

    async def __call__(self, job: Job) -> Job | None:
        """The job after its attempt; None where the attempt was not started. Raises LateAttempt."""
        claim, began_at = Claim.of(job), self.clock.now()
        if self.held.draining or not await self.reports.may_start(claim):
            return await self._give_back(job, claim)
        if not await self._is_under_our_lease(job, claim):
            return None
        self.notifier.publish(JobChanged(job.id))
        try:
            launch = self._launch(job)
        except UnknownScript as error:
            return await self._report(job, Exit(start_error=error.detail), began_at)
        return await self.finish(job, await self._started(launch), began_at)

    async def _started(self, launch: Launch) -> RunningProcess:
        asked_at = self.clock.elapsed()
        process = await self.runner.start(launch)
        self.meters.program_started(self.clock.elapsed() - asked_at)
        return process

    async def _is_under_our_lease(self, job: Job, claim: Claim) -> bool:
        """The deadline is reckoned from the present session's lease, so the attempt must be held by it.

        While the database was away, the session of the claim may have died and another begun: then
        the attempt moves over, unless it is lost.
        """
        owner = job.session_id
        while (session_id := self.held.session_id) != owner:
            if session_id is None or not await self._adopted(session_id, claim):
                return False
            owner = session_id
        return True

    async def _adopted(self, session_id: UUID, claim: Claim) -> bool:
        return bool(await until_answered(lambda: self.queue.adopt(session_id, [claim])))

    async def _give_back(self, job: Job, claim: Claim) -> Job | None:
        if claim not in await until_answered(lambda: self.queue.put_back([claim])):
            # The start was recorded, its answer was lost, and a cancel came before it was asked again.
            return await self._report(job, Exit(stopped=Stop.CANCEL), self.clock.now())
        self.notifier.publish(JobChanged(job.id))
        return None

    async def finish(self, job: Job, process: RunningProcess, began_at: datetime | None = None) -> Job:
        """From a running program, started here or adopted, to its report. `began_at`: None if adopted.
        Raises LateAttempt.
        """
        held = Held(
            claim=Claim.of(job),
            process=process,
            is_last_attempt=job.is_last_attempt,
            since=self.clock.elapsed(),
        )
        with self.held.holding(held):
            if not await self._is_under_our_lease(job, held.claim):  # another session began while it started
                self.held.disown(held)
            exit_ = await process.wait()
            if exit_.machine_full:
                self.held.full_until = self.clock.elapsed() + FULL_SECONDS
            if not exit_.processes_left:
                self.held.vacate_slot(held.claim)
            is_ours = not self.held.is_disowned(held.claim)
        after = await self._report(job, exit_, began_at) if is_ours else None
        await process.forget()
        if after is None:
            raise LateAttempt
        return after

    async def _report(self, job: Job, exit_: Exit, began_at: datetime | None) -> Job | None:
        ended_at, ending = self.clock.now(), await self._ending(job, exit_)
        report = Report(job_id=job.id, fence=job.fence, ending=ending)
        if (after := await self.reports.ended(report)) is not None:
            self.meters.attempt_ended(ending)
            self.trace.ended(job, ending, began_at, ended_at, self.clock.now())
        self.notifier.publish(JobChanged(job.id))
        if after is not None and (not after.state.is_final or job.spec.concurrency):
            self.notifier.publish(JobsWaiting(job.spec.queue))
        return after

    async def _ending(self, job: Job, exit_: Exit) -> Ending:
        ending = judge(exit_, job.spec.timeout_seconds or 0, job.spec.resources)
        if ending.outcome is Outcome.SUCCEEDED:
            return ending
        last_lines = await self._last_lines(LogRef(job_id=job.id, fence=job.fence))
        return replace(ending, reason=ending.reason.showing(last_lines))

    async def _last_lines(self, ref: LogRef) -> tuple[str, ...]:
        try:
            cursor, _ = await self.logs.tail(ref, LAST_LINES)
            page = await self.logs.lines(ref, cursor, LAST_LINES, final=True)
        except LogNotFound:
            return ()
        return tuple(shown(line.text) for line in page.lines)

    def _launch(self, job: Job) -> Launch:
        """Raises UnknownScript where the script has gone since the submit."""
        command, ref = job.spec.command, LogRef(job_id=job.id, fence=job.fence)
        program = self.scripts.argv(command.script) if command.script is not None else command.argv
        environment = self._environment(job)
        return Launch(
            ref=ref,
            argv=(*program, *command.arguments()),
            environment=environment,
            directory=self.scripts.directory,
            log=self.logs.target(ref),
            timeout_seconds=job.spec.timeout_seconds or 0,
            stop_grace_seconds=job.spec.stop_grace_seconds or 0,
            deadline=self.held.deadline(is_last_attempt=job.is_last_attempt),
            log_max_bytes=self.log_max_bytes,
            secrets=(*secret_values(environment), *self.secrets),
            resources=job.spec.resources,
            left_behind=job.spec.left_behind,
        )

    def _environment(self, job: Job) -> Mapping[str, str]:
        traceparent = self.trace.program_context(job)
        return {
            **self.environment,
            **({"TRACEPARENT": traceparent} if traceparent else {}),
            "PYTHONUNBUFFERED": "1",
            **job.spec.environment,
            "ETL_JOB_ID": str(job.id),
            "ETL_ATTEMPT": str(job.attempt),
            "ETL_FENCE": str(job.fence),
            "ETL_QUEUE": job.spec.queue,
        }

"""One installation in memory, with the controls that tests of the use cases need."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from adapters.memory.access_store import MemoryAccessStore
from adapters.memory.disk_space import MemoryDiskSpace
from adapters.memory.job_history import MemoryJobHistory
from adapters.memory.log_store import MemoryLogStore
from adapters.memory.log_upkeep import MemoryLogUpkeep
from adapters.memory.meters import MemoryMeters
from adapters.memory.records import Records
from adapters.memory.script_catalog import MemoryScriptCatalog
from adapters.memory.tracer import MemoryTracer
from adapters.memory.worker_registry import MemoryWorkerRegistry
from adapters.system.clock import SystemChance
from application.claim_jobs import ClaimJobs
from application.held_attempts import Held, HeldAttempts
from application.keep_session import AdoptAttempts, BeginSession, RenewSession
from application.require_disk_space import RequireDiskSpace
from application.run_attempt import Reports, RunAttempt
from application.settle_unknown import SettleUnknown
from application.submit_jobs import SubmitJobs, SubmitRules
from application.trace_attempt import TraceAttempt
from domain.access import Principal, Scope
from domain.job import Job
from domain.log import LogRef
from domain.worker import LeaseTerms
from tests.builders import a_job, a_worker, claim_of
from tests.fakes.clock import FakeClock
from tests.fakes.job_queue import FailingJobQueue
from tests.fakes.notifier import RecordingNotifier
from tests.fakes.process_runner import FakeProcess, FakeProcessRunner

ALICE = Principal(name="alice", scopes=frozenset({Scope.JOBS_READ, Scope.JOBS_SUBMIT, Scope.JOBS_CANCEL}))
ADMIN = Principal(name="admin", scopes=frozenset({Scope.ADMIN}))
RULES = SubmitRules(timeout_seconds=3600.0, stop_grace_seconds=10.0, allow_commands=False)


class World:
    """The ports, all on the same records, and one worker's use cases on top of them."""

    def __init__(self) -> None:
        self.records, self.clock, self.chance = Records(), FakeClock(), SystemChance()
        self.queue = FailingJobQueue(self.records, self.clock, self.chance)
        self.history = MemoryJobHistory(self.records, self.clock)
        self.registry = MemoryWorkerRegistry(self.records, self.clock)
        self.access = MemoryAccessStore(self.records)
        self.notifier = RecordingNotifier(self.records)
        self.logs = MemoryLogStore()
        self.log_upkeep = MemoryLogUpkeep(self.logs)
        self.scripts = MemoryScriptCatalog("load.py")
        self.disk = MemoryDiskSpace()
        self.require_disk_space = RequireDiskSpace(self.disk, 1000)
        self.meters = MemoryMeters()
        self.tracer = MemoryTracer()
        self.trace = TraceAttempt(self.tracer)
        self.runner = FakeProcessRunner()
        self.held = HeldAttempts(4, LeaseTerms())
        self.begin = BeginSession(self.registry, self.clock, self.chance, self.held, a_worker())
        self.adopt = AdoptAttempts(self.queue, self.held)
        self.settle = SettleUnknown(self.queue, self.clock, self.held)
        self.renew = RenewSession(
            self.registry, self.begin, self.adopt, self.settle, self.clock, self.meters, self.held
        )
        self.run = RunAttempt(
            queue=self.queue,
            reports=Reports(self.queue),
            runner=self.runner,
            logs=self.logs,
            scripts=self.scripts,
            notifier=self.notifier,
            clock=self.clock,
            meters=self.meters,
            trace=self.trace,
            held=self.held,
            environment={"PATH": "/bin", "LANG": "C"},
        )

    def submit(self, rules: SubmitRules = RULES) -> SubmitJobs:
        return SubmitJobs(
            self.queue, self.scripts, self.notifier, self.clock, self.chance, self.meters, rules
        )

    def claim(self) -> ClaimJobs:
        return ClaimJobs(self.queue, self.held, self.require_disk_space, self.clock, self.meters, self.trace)

    async def job(self, job_id: UUID) -> Job:
        return await self.history.get(job_id)

    async def queued(self, **spec: Any) -> Job:
        """A job that waits in the queue."""
        submitted = await self.queue.submit([a_job(at=self.clock.now(), **spec)])
        return submitted.jobs[0]

    async def claimed(self, **spec: Any) -> Job:
        """The same, claimed by the worker, whose session has begun."""
        if self.held.session_id is None:
            await self.begin()
        job = await self.queued(**spec)
        assert self.held.session_id is not None
        claimed = await self.queue.claim(self.held.session_id, 1)
        assert [each.id for each in claimed] == [job.id]
        return claimed[0]

    async def started(self, **spec: Any) -> Job:
        job = await self.claimed(**spec)
        await self.queue.start([claim_of(job)])
        return await self.job(job.id)

    def holds(self, job: Job) -> "Holds":
        """The worker's record of an attempt that runs, in a slot."""
        self.held.take_slot(claim_of(job))
        process = FakeProcess(ref_of(job), ignores_stop=True)
        held = Held(
            claim=claim_of(job),
            process=process,
            is_last_attempt=job.is_last_attempt,
            since=self.clock.elapsed(),
        )
        return Holds(held, process)

    async def session_died(self) -> None:
        """The lease has expired, and maintenance has said so."""
        self.clock.advance(self.held.terms.seconds + 1)
        await self.queue.rescue(100)


@dataclass(frozen=True, slots=True)
class Holds:
    held: Held
    process: FakeProcess


def ref_of(job: Job) -> LogRef:
    return LogRef(job_id=job.id, fence=job.fence)

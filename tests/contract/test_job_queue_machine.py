"""JobQueue under any order of what callers, workers, crashes and maintenance do.

Hypothesis looks for an order that breaks a promise: no job lost, none held under two valid fences,
no limit exceeded, a final state that changes, and, when everything has calmed down, a job that is stuck.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from application.ports.job_history import JobFilter
from application.ports.job_queue import Claim
from domain.attempt import Ending
from domain.errors import JobIsFinal
from domain.job import Job, JobState
from tests.builders import (
    TERMS,
    a_worker,
    claim_of,
    failed,
    jobs,
    keyed,
    lost,
    repeatable,
    report_of,
    stopped_by_cancel,
    succeeded,
    timed_out,
)
from tests.contract.kernels import Kernel, MemoryKernel

T = TypeVar("T")
QUEUES = ("a", "b")
KEYS = {"one": 1, "two": 2}
ENDINGS: list[Ending] = [succeeded(), failed(), timed_out(), stopped_by_cancel(), lost()]
EXAMPLES = {"memory": 60, "postgres": 20}


class QueueMachine(RuleBasedStateMachine):
    """What the test knows: who was given which fence, which jobs are final, which sessions may claim."""

    runner: asyncio.Runner
    kernel: Kernel

    def __init__(self) -> None:
        super().__init__()
        self.do(self.kernel.clear())
        self.jobs: dict[UUID, Job] = {}
        self.claims: list[Job] = []
        self.claiming: list[UUID] = []
        self.sessions: list[UUID] = []
        self.paused: set[str] = set()
        self.slots: dict[str, int | None] = dict.fromkeys(QUEUES)
        for queue in QUEUES:
            self.do(self.kernel.queue.set_slots(queue, None))
        self.join()

    def do(self, asked: Awaitable[T]) -> T:
        async def answer() -> T:
            return await asked

        return self.runner.run(answer())

    def seen(self) -> dict[UUID, Job]:
        return {job.id: job for job in self.do(self.kernel.history.list(JobFilter(), None, 200))}

    # -- callers -------------------------------------------------------------------------------------

    @rule(
        count=st.integers(1, 3),
        queue=st.sampled_from(QUEUES),
        key=st.sampled_from([None, *KEYS]),
        attempts=st.integers(1, 3),
        priority=st.integers(-1, 1),
    )
    def submit(self, count: int, queue: str, key: str | None, attempts: int, priority: int) -> None:
        concurrency = None if key is None else keyed(key, KEYS[key])
        retry = repeatable(attempts)
        batch = jobs(count, queue=queue, concurrency=concurrency, priority=priority, retry=retry)
        assert self.do(self.kernel.queue.submit(batch)).jobs == tuple(batch)
        self.jobs |= {job.id: job for job in batch}

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        before = self.jobs[job_id]
        try:
            after = self.do(
                self.kernel.queue.change(job_id, lambda job: job.cancel(datetime.now(UTC)), "bob")
            )
        except JobIsFinal:
            assert before.state in {JobState.SUCCEEDED, JobState.FAILED}
        else:
            assert (after.state is JobState.RUNNING) == (before.state is JobState.RUNNING)

    @rule(queue=st.sampled_from(QUEUES))
    def pause(self, queue: str) -> None:
        self.do(self.kernel.queue.pause(queue, "bob"))
        self.paused.add(queue)

    @rule(queue=st.sampled_from(QUEUES))
    def resume(self, queue: str) -> None:
        self.do(self.kernel.queue.resume(queue))
        self.paused.discard(queue)

    @rule(queue=st.sampled_from(QUEUES), slots=st.sampled_from([None, 0, 1, 2]))
    def set_slots(self, queue: str, slots: int | None) -> None:
        self.do(self.kernel.queue.set_slots(queue, slots))
        self.slots[queue] = slots

    # -- workers -------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.sessions) < 5)
    @rule()
    def join(self) -> None:
        worker = a_worker()
        self.do(self.kernel.registry.join(worker, TERMS))
        self.sessions.append(worker.id)
        self.claiming.append(worker.id)

    @rule(data=st.data(), limit=st.integers(1, 4))
    def claim(self, data: st.DataObject, limit: int) -> None:
        session = data.draw(st.sampled_from(self.sessions))
        claimed = self.do(self.kernel.queue.claim(session, limit))
        assert len(claimed) <= limit
        assert not claimed or session in self.claiming
        for job in claimed:
            before = self.jobs[job.id]
            assert before.state is JobState.QUEUED
            assert job.spec.queue not in self.paused
            assert (job.fence, job.attempt, job.session_id) == (before.fence + 1, before.attempt + 1, session)
        running = Counter(job.spec.queue for job in self.seen().values() if job.state is JobState.RUNNING)
        for queue in {job.spec.queue for job in claimed}:
            slots = self.slots[queue]
            assert slots is None or running[queue] <= slots
        self.claims += claimed

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        claim = self.any_claim(data)
        before = self.jobs[claim.job_id]
        granted = self.do(self.kernel.queue.start([claim]))
        assert bool(granted) == (self.is_current(claim) and before.cancel_requested_at is None)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), ending=st.sampled_from(ENDINGS))
    def report(self, data: st.DataObject, ending: Ending) -> None:
        job = data.draw(st.sampled_from(self.claims))
        current = self.is_current(claim_of(job))
        counted = self.do(self.kernel.queue.report([report_of(job, ending)]))
        if current:
            assert [ended.id for ended in counted] == [job.id]
            assert counted[0].state is not JobState.RUNNING
        else:
            assert list(counted) in ([], [self.jobs[job.id]])

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        claim = self.any_claim(data)
        before = self.jobs[claim.job_id]
        given_back = self.do(self.kernel.queue.put_back([claim]))
        assert bool(given_back) == (self.is_current(claim) and not before.attempt_started)

    @precondition(lambda self: self.claims and self.claiming)
    @rule(data=st.data())
    def adopt(self, data: st.DataObject) -> None:
        claim, session = self.any_claim(data), data.draw(st.sampled_from(self.claiming))
        adopted = self.do(self.kernel.queue.adopt(session, [claim]))
        assert [(job.id, job.fence, job.session_id) for job in adopted] == (
            [(claim.job_id, claim.fence, session)] if self.is_current(claim) else []
        )

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(self.sessions))
        renewal = self.do(self.kernel.registry.renew(session, TERMS))
        if session in self.claiming:
            assert renewal is not None
        if renewal is not None:
            held = {job.id for job in self.jobs.values() if job.session_id == session}
            assert {holding.job_id for holding in renewal.holdings} == held
            # A store may still renew a lease that is over, as long as nobody has declared it dead.
            self.claiming = [*{*self.claiming, session}]

    # -- crashes, and maintenance ----------------------------------------------------------------------

    @precondition(lambda self: self.claiming)
    @rule(data=st.data(), both=st.booleans())
    def crash(self, data: st.DataObject, *, both: bool) -> None:
        session = data.draw(st.sampled_from(sorted(self.claiming)))
        self.do(self.kernel.expire_last_lease(session) if both else self.kernel.expire_lease(session))
        self.claiming.remove(session)

    @rule(limit=st.integers(1, 10))
    def rescue(self, limit: int) -> None:
        rescued = self.do(self.kernel.queue.rescue(limit))
        assert len(rescued) <= limit
        for job in rescued:
            before = self.jobs[job.id]
            assert before.session_id not in self.claiming
            assert job.attempt == before.attempt - (not before.attempt_started)

    @rule()
    def promote(self) -> None:
        assert self.do(self.kernel.queue.promote()) >= 0

    # -- what always holds -----------------------------------------------------------------------------

    @invariant()
    def every_promise_holds(self) -> None:
        self.nothing_is_lost_and_nothing_final_changes()
        self.no_limit_of_a_key_is_exceeded()
        self.a_job_is_held_under_one_fence_while_it_runs_and_none_otherwise()

    def nothing_is_lost_and_nothing_final_changes(self) -> None:
        now = self.seen()
        assert now.keys() == self.jobs.keys()
        for job_id, before in self.jobs.items():
            assert now[job_id].fence >= before.fence
            assert not before.state.is_final or now[job_id] == before
        self.jobs = now

    def no_limit_of_a_key_is_exceeded(self) -> None:
        running = (job.spec.concurrency for job in self.jobs.values() if job.state is JobState.RUNNING)
        for key, count in Counter(limit.key for limit in running if limit).items():
            assert count <= KEYS[key]

    def a_job_is_held_under_one_fence_while_it_runs_and_none_otherwise(self) -> None:
        for job in self.jobs.values():
            attempts = self.do(self.kernel.history.attempts(job.id))
            valid = [attempt.fence for attempt in attempts if attempt.finished_at is None]
            assert valid == ([job.fence] if job.state is JobState.RUNNING else [])
            assert [attempt.fence for attempt in attempts] == list(range(1, job.fence + 1))

    def teardown(self) -> None:
        """The storm is over: every job must come to its end."""
        for queue in QUEUES:
            self.do(self.kernel.queue.resume(queue))
            self.do(self.kernel.queue.set_slots(queue, None))
        for session in self.sessions:
            self.do(self.kernel.expire_last_lease(session))
        worker = a_worker()
        self.do(self.kernel.registry.join(worker, TERMS))
        for _ in range(len(self.jobs) + 5):
            self.do(self.kernel.queue.rescue(100))
            self.do(self.kernel.queue.promote())
            claimed = self.do(self.kernel.queue.claim(worker.id, 100))
            self.do(self.kernel.queue.report([report_of(job) for job in claimed]))
        assert [job for job in self.seen().values() if not job.state.is_final] == []

    # -- shared ----------------------------------------------------------------------------------------

    def any_claim(self, data: st.DataObject) -> Claim:
        return claim_of(data.draw(st.sampled_from(self.claims)))

    def is_current(self, claim: Claim) -> bool:
        job = self.jobs[claim.job_id]
        return job.state is JobState.RUNNING and job.fence == claim.fence


@contextmanager
def opened(store_url: str | None) -> Iterator[dict[str, Any]]:
    """The machine's store on an event loop of its own, one for all examples."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()
        kernel: Kernel = MemoryKernel.fresh()
        if store_url is not None:
            from tests.contract.postgres_kernel import postgres_kernel  # noqa: PLC0415 - drivers load when used

            kernel = runner.run(stack.enter_async_context(postgres_kernel(store_url)))
        try:
            yield {"runner": runner, "kernel": kernel}
        finally:
            runner.run(stack.aclose())


def test_no_order_of_events_breaks_a_promise(store_url: str | None) -> None:
    modest = settings(
        max_examples=EXAMPLES["memory" if store_url is None else "postgres"],
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    with opened(store_url) as attributes:
        machine = type("Machine", (QueueMachine,), attributes)
        run_state_machine_as_test(machine, settings=modest)

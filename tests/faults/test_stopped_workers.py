"""A worker that is killed, stopped or frozen, with and without those that watch over its programs.

The other worker is in this process, on a data directory of its own: it is another host.
"""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from adapters.process.supervisor.group import V2, Group
from domain.attempt import Outcome
from domain.job import Job, JobState
from tests.contract.postgres_kernel import PostgresKernel
from tests.faults.node import Place
from tests.faults.waiting import ended, eventually, pass_leases
from tests.faults.worker_process import gone, worker_process

Everything = tuple[Job, object, object]
"""A job, its attempts and its events."""

pytestmark = pytest.mark.usefixtures("rescuing")


async def test_f20_a_killed_worker_that_comes_back_goes_on_with_its_first_attempt(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F20: the program goes on under its supervisor, and is adopted. With a long lease, or the test would
    have to start the new worker in time.
    """
    job = place.job()
    with worker_process(place, database_url) as worker:
        await started(kernel, place, job)
        worker.kill()
        await gone(worker)
    with worker_process(place, database_url):
        place.gate.touch()
        after = await ended(kernel, job.id)
    assert (after.state, after.attempt, after.fence) == (JobState.SUCCEEDED, 1, 1)


async def test_f20_the_program_of_a_killed_worker_has_ended_before_another_begins_it_again(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F20 where nobody comes back: stopped by its supervisor's own timer, `lost`, then attempt 2."""
    job = place.job(max_attempts=2)
    with worker_process(place, database_url) as worker:
        await started(kernel, place, job)
        worker.kill()
        await gone(worker)
        after = await another_takes_over(kernel, place, database_url, job)
    assert (after.state, after.attempt, after.fence) == (JobState.SUCCEEDED, 2, 2)
    assert await outcomes(kernel, job.id) == [Outcome.LOST, Outcome.SUCCEEDED]


async def test_f21_a_worker_stopped_for_three_leases_finds_its_program_dead_and_changes_nothing(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    job = place.job(max_attempts=2)
    with worker_process(place, database_url) as worker:
        await started(kernel, place, job)
        with stopped(worker.pid):
            await another_takes_over(kernel, place, database_url, job)
            before = await everything(kernel, job.id)
            await pass_leases(3)
        await comes_late(kernel, place, job, before)
    assert place.marks(job.id, 1)[-1][0] == "tick"
    assert before[0].state is JobState.SUCCEEDED


async def test_f23_a_worker_that_wakes_while_another_runs_its_job_leaves_it_alone(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F23: stopped for 1.6 leases, awake between the takeover and the end of attempt 2."""
    job = place.job(max_attempts=2)
    with worker_process(place, database_url) as worker:
        await started(kernel, place, job)
        async with AsyncExitStack() as other:
            with stopped(worker.pid):
                await other.enter_async_context(place.node(database_url, "other"))
                await second_attempt(place, job)
            await eventually(lambda: "late_attempt" in place.log("worker"))
            running = await kernel.history.get(job.id)
            assert (running.state, running.fence) == (JobState.RUNNING, 2)
            place.gate.touch()
            after = await ended(kernel, job.id)
    assert (after.state, after.fence) == (JobState.SUCCEEDED, 2)
    assert await outcomes(kernel, job.id) == [Outcome.LOST, Outcome.SUCCEEDED]
    assert overlap(place, job) <= 0


@pytest.fixture(params=["signals", "freezer"])
async def frozen(request: pytest.FixtureRequest) -> AsyncIterator["Freezer"]:
    """Everything of one host stands still: by the freezer, as `docker pause`, or by SIGSTOP."""
    freezer = Freezer(_group() if request.param == "freezer" else None)
    yield freezer
    freezer.clear()


async def test_f24_a_frozen_host_that_thaws_does_not_go_on_with_what_others_have_begun(
    kernel: PostgresKernel, place: Place, database_url: str, frozen: "Freezer"
) -> None:
    """F24: worker, zygote, supervisor and program stand still for three leases."""
    job = place.job(max_attempts=2)
    with worker_process(place, database_url, before=frozen.enter) as worker:
        await started(kernel, place, job)
        with frozen.still(worker.pid):
            last = place.marks(job.id, 1)[-1]
            await another_takes_over(kernel, place, database_url, job)
            await pass_leases(2)
            before = await everything(kernel, job.id)
        await comes_late(kernel, place, job, before)
    assert place.marks(job.id, 1)[-1] == last
    assert before[0].state is JobState.SUCCEEDED


async def test_f25_with_worker_and_supervisor_stopped_the_kernel_ends_the_program_in_time(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F25: both who could stop it are stopped. The supervisor's fuse burns on (kernel.Fuse)."""
    job = place.job(max_attempts=2)
    with worker_process(place, database_url) as worker:
        await started(kernel, place, job)
        with stopped(worker.pid), stopped(*supervisors(worker.pid)):
            await another_takes_over(kernel, place, database_url, job)
            before = await everything(kernel, job.id)
        await comes_late(kernel, place, job, before)


# -- what the tests do and see ---------------------------------------------------------------------------


async def started(kernel: PostgresKernel, place: Place, job: Job) -> None:
    await kernel.queue.submit([job])
    await eventually(lambda: place.marks(job.id, 1))


async def second_attempt(place: Place, job: Job) -> None:
    """Some ticks of it, so that one of the first attempt beside them would have been seen."""
    await eventually(lambda: len(place.marks(job.id, 2)) > 5)


def overlap(place: Place, job: Job) -> int:
    """Nanoseconds for which both attempts lived, by their own marks; negative: the pause between."""
    return place.marks(job.id, 1)[-1][1] - place.marks(job.id, 2)[0][1]


async def another_takes_over(kernel: PostgresKernel, place: Place, database_url: str, job: Job) -> Job:
    """Another host runs attempt 2 to its end, while nothing of attempt 1 lives."""
    async with place.node(database_url, "other"):
        await second_attempt(place, job)
        assert overlap(place, job) <= 0
        place.gate.touch()
        return await ended(kernel, job.id)


async def comes_late(kernel: PostgresKernel, place: Place, job: Job, before: Everything) -> None:
    """The first worker learns that the attempt is no longer its own, changes nothing, and works on."""
    await eventually(lambda: "late_attempt" in place.log("worker"))
    assert await everything(kernel, job.id) == before
    again = place.job("quick.sh")
    await kernel.queue.submit([again])
    assert (await ended(kernel, again.id)).state is JobState.SUCCEEDED


async def outcomes(kernel: PostgresKernel, job_id: UUID) -> list[Outcome]:
    attempts = await kernel.history.attempts(job_id)
    return [attempt.ending.outcome for attempt in attempts if attempt.ending is not None]


async def everything(kernel: PostgresKernel, job_id: UUID) -> Everything:
    history = kernel.history
    return await history.get(job_id), await history.attempts(job_id), await history.events(job_id)


def supervisors(worker: int) -> list[int]:
    (zygote,) = psutil.Process(worker).children()
    return [child.pid for child in zygote.children()]


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # ended meanwhile, or by what went on before it
                os.kill(pid, signal.SIGCONT)


class Freezer:
    """`group` None: by SIGSTOP to worker, zygote, supervisors and programs, from the top down."""

    def __init__(self, group: Path | None) -> None:
        self._group = group

    def enter(self) -> None:
        """In the worker's process, before it is one."""
        if self._group is not None:
            Group(str(self._group)).join()

    @contextmanager
    def still(self, worker: int) -> Iterator[None]:
        if self._group is None:
            with stopped(worker, *(child.pid for child in psutil.Process(worker).children(recursive=True))):
                yield
            return
        (self._group / "cgroup.freeze").write_text("1")
        try:
            yield
        finally:
            (self._group / "cgroup.freeze").write_text("0")

    def clear(self) -> None:
        if self._group is not None:
            assert Group(str(self._group)).clear() == 0


def _group() -> Path:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    for _, mount, kind, *_ in mounts:
        group = Path(mount) / f"etl-test-{os.getpid()}"
        if kind == "cgroup2" and Group(str(group)).make() == V2:
            return group
    pytest.skip("no control group of version 2 may be made here")

"""F65: SIGTERM to a worker, for each `worker.on_stop`: nothing is claimed any more, the state is truthful."""

import signal
from collections.abc import Sequence
from functools import partial

import pytest

from domain.attempt import Outcome
from domain.event import EventKind
from domain.job import Job, JobState
from domain.worker import WorkerState
from tests.contract.postgres_kernel import PostgresKernel
from tests.faults.node import Place
from tests.faults.waiting import ended, eventually, until
from tests.faults.worker_process import gone, worker_process

HAND_OVER = {"ETL_WORKER__ON_STOP": "hand_over"}
WAIT = {"ETL_WORKER__ON_STOP": "wait"}
STOP = {"ETL_WORKER__ON_STOP": "stop"}


async def runs(place: Place, job: Job) -> None:
    await eventually(lambda: len(place.marks(job.id)) > 1)


async def goes_on(place: Place, job: Job) -> None:
    marks = len(place.marks(job.id))
    await eventually(lambda: len(place.marks(job.id)) > marks)


async def test_f65_by_default_a_restarted_worker_goes_on_with_what_ran(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    job = place.job()
    await kernel.queue.submit([job])
    with worker_process(place, database_url) as worker:
        await runs(place, job)
        worker.terminate()
        assert await gone(worker) == 0
        assert [each.state for each in await kernel.registry.list()] == [WorkerState.DRAINING]
        await goes_on(place, job)
    with worker_process(place, database_url):
        await until(lambda: adopted(kernel, job))
        place.gate.touch()
        after = await ended(kernel, job.id)
    assert (after.state, after.attempt, after.fence) == (JobState.SUCCEEDED, 1, 1)


async def adopted(kernel: PostgresKernel, job: Job) -> bool:
    return EventKind.ADOPTED in [event.kind for event in await kernel.history.events(job.id)]


async def test_f65_a_restart_between_claim_start_and_report_costs_no_attempt(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """Each of these jobs has one attempt only: one that was lost would fail."""
    jobs = [place.job("quick.sh") for _ in range(60)]
    await kernel.queue.submit(jobs)
    for wanted in (15, 30, 45):
        with worker_process(place, database_url, HAND_OVER) as worker:
            await until(partial(joined, kernel, worker.pid))
            await until(partial(claimed, kernel, jobs, wanted))
            worker.terminate()
            assert await gone(worker) == 0
    with worker_process(place, database_url):
        states = [await ended(kernel, job.id) for job in jobs]
    assert {(job.state, job.attempt) for job in states} == {(JobState.SUCCEEDED, 1)}


async def joined(kernel: PostgresKernel, pid: int) -> bool:
    """The jobs that are wanted may have been claimed before it came."""
    return pid in [each.pid for each in await kernel.registry.list()]


async def claimed(kernel: PostgresKernel, jobs: Sequence[Job], count: int) -> bool:
    states = [(await kernel.history.get(job.id)).state for job in jobs]
    return len(jobs) - states.count(JobState.QUEUED) >= count


async def test_f65_wait_lets_what_runs_end_and_claims_nothing_more(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    first, second = place.job(), place.job()
    await kernel.queue.submit([first])
    with worker_process(place, database_url, WAIT) as worker:
        await runs(place, first)
        worker.terminate()
        await eventually(lambda: "worker_draining" in (place.directory / "worker.log").read_text())
        await kernel.queue.submit([second])
        place.gate.touch()
        assert await gone(worker) == 0
    assert (await kernel.history.get(first.id)).state is JobState.SUCCEEDED
    assert (await kernel.history.get(second.id)).state is JobState.QUEUED
    assert await kernel.registry.list() == []


@pytest.mark.parametrize("how", [{**WAIT, "ETL_WORKER__DRAIN": "300ms"}, STOP], ids=["wait", "stop"])
async def test_f65_at_the_deadline_programs_are_stopped_and_the_attempt_counts(
    kernel: PostgresKernel, place: Place, database_url: str, how: dict[str, str]
) -> None:
    again, last = place.job(max_attempts=2), place.job()
    await kernel.queue.submit([again, last])
    with worker_process(place, database_url, how) as worker:
        await runs(place, again)
        await runs(place, last)
        worker.terminate()
        assert await gone(worker) == 0
    waiting, failed = await kernel.history.get(again.id), await kernel.history.get(last.id)
    assert (waiting.state, waiting.attempt, waiting.outcome) == (JobState.QUEUED, 1, Outcome.LOST)
    assert (failed.state, failed.attempt, failed.outcome) == (JobState.FAILED, 1, Outcome.LOST)
    assert failed.reason is not None
    assert (failed.reason.code, failed.reason.message) == (
        "worker_stopped",
        "Stopped because its worker was stopped.",
    )


async def test_a_second_signal_ends_the_wait_and_the_program_lives_on(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    job = place.job()
    await kernel.queue.submit([job])
    with worker_process(place, database_url, WAIT) as worker:
        await runs(place, job)
        worker.terminate()
        await eventually(lambda: "worker_draining" in (place.directory / "worker.log").read_text())
        worker.send_signal(signal.SIGINT)
        assert await gone(worker) == 0
    await goes_on(place, job)
    with worker_process(place, database_url):
        place.gate.touch()
        assert (await ended(kernel, job.id)).state is JobState.SUCCEEDED


async def test_a_signal_ends_a_start_that_waits_for_its_database(place: Place) -> None:
    nowhere = f"postgresql:///etl?host={place.directory}"
    with worker_process(place, nowhere) as worker:
        await eventually(lambda: "database_unavailable" in (place.directory / "worker.log").read_text())
        worker.terminate()
        assert await gone(worker) == 0

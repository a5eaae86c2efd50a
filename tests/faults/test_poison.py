"""A job that kills whoever runs it, or even whoever claims it, ends by its own limit; others run."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from domain.attempt import Outcome
from domain.event import EventKind
from domain.job import MAX_PUT_BACKS, Job, JobState
from tests.builders import a_job, repeatable
from tests.contract.kernels import Kernel, MemoryKernel, claim_one, join, submit
from tests.contract.postgres_kernel import PostgresKernel
from tests.faults.node import Place
from tests.faults.waiting import ended
from tests.faults.worker_process import gone, start_worker

# Nothing that could report is left: the worker, the process that forks its supervisors, its supervisor.
POISON = f"""#!{sys.executable} -IS
import os, signal
def parent(pid):
    return int(open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[1])
supervisor = os.getppid()
zygote = parent(supervisor)
worker = parent(zygote)
assert b"\\0worker\\0" in open(f"/proc/{{worker}}/cmdline", "rb").read(), "that is no worker"
for victim in (worker, zygote, supervisor):
    os.kill(victim, signal.SIGKILL)
"""


@asynccontextmanager
async def restarted_for_ever(place: Place, url: str) -> AsyncIterator[list[int]]:
    """A worker, as a service manager keeps it: the statuses with which it has ended so far."""
    statuses: list[int] = []
    process = start_worker(place, url)

    async def keep() -> None:
        nonlocal process
        while True:
            statuses.append(await gone(process))
            process = start_worker(place, url)

    keeper = asyncio.create_task(keep())
    try:
        yield statuses
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        process.kill()
        process.wait()


@pytest.mark.usefixtures("rescuing")
async def test_f58_a_job_that_kills_its_worker_each_time_fails_when_its_attempts_are_used_up(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F58: after its three attempts, with a sentence; a job that came after it succeeds."""
    place.script("poison", POISON)
    poison, good = place.job("poison", max_attempts=3), place.job("quick.sh")
    await kernel.queue.submit([poison, good])
    async with restarted_for_ever(place, database_url) as statuses:
        after = await ended(kernel, poison.id)
        assert (await ended(kernel, good.id)).state is JobState.SUCCEEDED
    assert (after.state, after.attempt, after.outcome) == (JobState.FAILED, 3, Outcome.LOST)
    assert after.reason is not None
    assert after.reason.message.endswith(".")
    assert len(statuses) >= 3
    assert set(statuses) == {-9}


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Kernel:
    if request.param == "memory":
        return MemoryKernel.fresh()
    kernel: PostgresKernel = request.getfixturevalue("kernel")
    return kernel


async def claim_and_die(kernel: Kernel) -> Job:
    worker = await join(kernel)
    await claim_one(kernel, worker)
    await kernel.expire_lease(worker.id)
    (after,) = await kernel.queue.rescue(10)
    return after


@pytest.mark.parametrize("attempts", [1, 3])
async def test_f58_a_job_that_kills_its_worker_before_it_starts_is_not_put_back_for_ever(
    store: Kernel, attempts: int
) -> None:
    """F58: a claim that never started does not count, but only so often."""
    (job,) = await submit(store, a_job(retry=repeatable(attempts)))
    for _ in range(MAX_PUT_BACKS):
        after = await claim_and_die(store)
        assert (after.state, after.attempt) == (JobState.QUEUED, 0)
    for number in range(1, attempts):
        after = await claim_and_die(store)
        assert (after.state, after.attempt, after.outcome) == (JobState.QUEUED, number, Outcome.LOST)
    after = await claim_and_die(store)
    assert (after.state, after.attempt, after.outcome) == (JobState.FAILED, attempts, Outcome.LOST)
    assert after.reason is not None
    assert "before it started the program" in after.reason.message
    kinds = [event.kind for event in await store.history.events(job.id)]
    assert kinds.count(EventKind.PUT_BACK) == MAX_PUT_BACKS

"""Wrong clocks: leases are reckoned by the database's clock and by rates, and fences settle the rest."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from adapters.system.clock import SystemClock
from domain.attempt import Outcome
from domain.job import JobState
from tests.builders import TERMS, a_job, a_worker, repeatable, report_of
from tests.contract.kernels import join, start_one, submit
from tests.contract.postgres_kernel import PostgresKernel
from tests.faults.node import LEASE, Place
from tests.faults.waiting import ended, eventually, when
from tests.faults.worker_process import worker_process

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


class WrongClock(SystemClock):
    """The machine's wall clock is `wrong_by`; what counts its seconds is not."""

    def __init__(self, wrong_by: timedelta) -> None:
        self.wrong_by = wrong_by

    def now(self) -> datetime:
        return super().now() + self.wrong_by


@pytest.mark.usefixtures("rescuing")
@pytest.mark.parametrize("hours", [1, -1])
async def test_f26_a_worker_with_a_wrong_wall_clock_keeps_its_lease_and_ends_its_jobs(
    kernel: PostgresKernel, place: Place, database_url: str, hours: int
) -> None:
    """F26: submitted, run and retried on a node whose clock is an hour off."""
    clock = WrongClock(timedelta(hours=hours))
    job = place.job(max_attempts=2, at=clock.now())
    async with place.node(database_url, clock=clock):
        await kernel.queue.submit([job])
        await eventually(lambda: place.marks(job.id))
        began = place.marks(job.id)[0][1]
        await eventually(lambda: place.marks(job.id)[-1][1] - began > LEASE * 1.5e9)
        place.gate.touch()
        after = await ended(kernel, job.id)
    assert (after.state, after.attempt, after.fence) == (JobState.SUCCEEDED, 1, 1)
    (attempt,) = await kernel.history.attempts(job.id)
    assert abs(attempt.claimed_at - datetime.now(UTC)) < timedelta(minutes=10)


@pytest.mark.skipif(
    not FAKETIME, reason="libfaketime is not installed (Debian, Ubuntu: apt-get install faketime)"
)
@pytest.mark.usefixtures("rescuing")
@pytest.mark.parametrize("jump", ["+1h", "-1h"])
async def test_f26_nothing_happens_when_the_wall_clock_of_a_worker_jumps(
    kernel: PostgresKernel, place: Place, database_url: str, jump: str
) -> None:
    """F26 on a real process, whose every reading of the wall clock jumps while a program runs."""
    offset = place.directory / "offset"
    offset.write_text("+0\n")
    with worker_process(place, database_url, faked(offset)):
        job = place.job(max_attempts=2)
        await kernel.queue.submit([job])
        await eventually(lambda: place.marks(job.id))
        aside = offset.with_suffix(".new")
        aside.write_text(f"{jump}\n")
        aside.rename(offset)  # at once: every reading of the clock reads this file
        began = place.marks(job.id)[-1][1]
        await eventually(lambda: place.marks(job.id)[-1][1] - began > LEASE * 1.5e9)
        place.gate.touch()
        after = await ended(kernel, job.id)
    assert (after.state, after.attempt, after.fence) == (JobState.SUCCEEDED, 1, 1)
    told = place.directory.joinpath("worker.log").read_text().splitlines()
    assert not [line for line in told if "session_began_again" in line]
    by_its_clock = datetime.fromisoformat(json.loads(told[-1])["timestamp"])
    assert abs(by_its_clock - datetime.now(UTC)) > timedelta(minutes=50), "its clock did not jump at all"


def faked(offset: Path) -> Mapping[str, str]:
    return {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


# The database's clock is real here. A jump of an hour forward is told from inside by nothing but this:
# every instant that it has set before lies an hour further back.
JUMP = """
UPDATE etl.worker_session SET lease_expires_at = lease_expires_at - {jump},
    last_lease_expires_at = last_lease_expires_at - {jump}
"""


async def test_f27_a_forward_jump_of_the_databases_clock_ends_leases_early_and_fences_hold(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F27: the attempt is lost too soon and begun again; the first one's word counts no more."""
    job = place.job(max_attempts=3)
    async with place.node(database_url, lease=10 * LEASE):  # the jump ends it, and nothing else shall
        await kernel.queue.submit([job])
        await eventually(lambda: place.marks(job.id))
        first = await when(kernel, job.id, JobState.RUNNING)
        jump(database_url, "interval '1 hour'")
        await kernel.queue.rescue(10)
        await eventually(lambda: place.marks(job.id, 2))
        assert await kernel.queue.report([report_of(first)]) == []
        place.gate.touch()
        after = await ended(kernel, job.id)
    assert (after.state, after.fence) == (JobState.SUCCEEDED, 2)
    lost, won = await kernel.history.attempts(job.id)
    assert lost.ending is not None
    assert won.ending is not None
    assert (lost.ending.outcome, won.ending.outcome) == (Outcome.LOST, Outcome.SUCCEEDED)
    assert place.marks(job.id, 1)[-1][0] == "tick"


async def test_f27_a_backward_jump_of_the_databases_clock_makes_leases_longer_and_nothing_else(
    kernel: PostgresKernel, database_url: str
) -> None:
    """F27: a dead worker's job waits longer, and is not given twice; a living one is not disturbed."""
    living, dead = await join(kernel), a_worker()
    await kernel.registry.join(dead, TERMS)
    await submit(kernel, a_job(retry=repeatable()), a_job(retry=repeatable()))
    mine, theirs = await start_one(kernel, living), await start_one(kernel, dead)
    jump(database_url, "interval '-1 hour'")
    assert await kernel.registry.renew(living.id, TERMS) is not None
    assert await kernel.queue.rescue(10) == []
    assert await kernel.queue.claim(living.id, 10) == []
    jump(database_url, "interval '2 hours'")
    await kernel.registry.join(a_worker(), TERMS)
    assert {job.id for job in await kernel.queue.rescue(10)} == {mine.id, theirs.id}
    assert await kernel.queue.report([report_of(mine), report_of(theirs)]) == []


def jump(url: str, interval: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(JUMP.format(jump=interval))

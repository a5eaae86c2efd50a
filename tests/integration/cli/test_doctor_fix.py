"""Each invariant broken on purpose: found, mended, told with the job, and found no more."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from domain.attempt import Exit, Outcome, judge
from domain.event import EventKind
from domain.invariant import Invariant
from domain.job import Job, JobState
from domain.log import LogRef
from entrypoints.doctor import examine
from entrypoints.finding import Finding
from entrypoints.settings import Settings, load
from tests.builders import a_job, claim_of, keyed, repeatable, report_of, succeeded
from tests.contract.kernels import claim_one, join, start_one, submit
from tests.contract.postgres_kernel import PostgresKernel, postgres_kernel

PAUSE = 0.1
ENDED = """
INSERT INTO etl.job_end (job_id, final_state, finished_at, attempt, fence, attempt_started)
VALUES (:id, 'succeeded', now(), 1, 1, true)
"""


@dataclass
class Patient:
    """One installation: its database by the product's own words, and by a hand in the tables."""

    settings: Settings
    kernel: PostgresKernel

    async def sql(self, statement: str, **values: Any) -> None:
        async with self.kernel.database.transaction() as connection:
            done: Any = await connection.execute(text(statement), values)
        assert done.rowcount > 0, "nothing was broken"

    async def sees(self, *, fix: bool = False) -> dict[str, Finding]:
        return {f.check: f for f in await examine(self.settings, fix=fix, pause=PAUSE)}

    async def is_mended(self, invariant: Invariant, job: Job) -> None:
        """Found before, mended once, found no more, and nothing else is wrong then."""
        before = (await self.sees())[invariant]
        assert before.cure is not None
        assert str(job.id) in before.seen
        assert (await self.sees(fix=True))[invariant].fixed
        after = await self.sees()
        assert {name: each for name, each in after.items() if each.cure is not None or each.fixed} == {}
        assert not any(each.fixed for each in (await self.sees(fix=True)).values())

    async def is_told(self, job: Job, kind: EventKind = EventKind.REPAIRED) -> None:
        told = [event for event in await self.kernel.history.events(job.id) if event.actor == "doctor"]
        assert [event.kind for event in told] == [kind]
        assert told[0].detail


@pytest.fixture
async def patient(tmp_path: Path, database_url: str) -> AsyncIterator[Patient]:
    for name in ("data", "logs", "scripts"):
        (tmp_path / name).mkdir()
    given = {
        "data.directory": "data",
        "logs.directory": "logs",
        "retention.disk_floor": "1B",
        "database.url": database_url,
    }
    async with postgres_kernel(database_url) as kernel:
        yield Patient(load(given, {}, tmp_path).settings, kernel)


async def test_a_live_job_that_is_in_no_queue_gets_its_row_back_and_runs(patient: Patient) -> None:
    kernel, job = patient.kernel, a_job(priority=7, concurrency=keyed("customer"))
    await submit(kernel, job)
    await patient.sql("DELETE FROM etl.job_queue WHERE job_id = :id", id=job.id)
    await patient.is_mended(Invariant.QUEUED_IF_LIVE, job)
    await patient.is_told(job)
    worker = await join(kernel)
    assert list(await kernel.queue.claim(worker.id, 1)) == []
    await kernel.make_due(job.id)
    again = await start_one(kernel, worker)
    assert (again.id, again.spec, again.attempt, again.fence) == (job.id, job.spec, 1, 2)
    (after,) = await kernel.queue.report([report_of(again)])
    assert after.state is JobState.SUCCEEDED


async def test_who_still_runs_a_job_whose_row_was_lost_can_report_no_more(patient: Patient) -> None:
    kernel = patient.kernel
    await submit(kernel, a_job(retry=repeatable(2)))
    worker = await join(kernel)
    job = await start_one(kernel, worker)
    await patient.sql("DELETE FROM etl.job_queue WHERE job_id = :id", id=job.id)
    await patient.is_mended(Invariant.QUEUED_IF_LIVE, job)
    assert list(await kernel.queue.report([report_of(job)])) == []
    await kernel.make_due(job.id)
    again = await start_one(kernel, worker)
    assert list(await kernel.queue.report([report_of(job)])) == []
    (after,) = await kernel.queue.report([report_of(again)])
    assert (after.state, after.fence) == (JobState.SUCCEEDED, 2)


async def test_a_final_job_leaves_the_queue_and_frees_its_unit(patient: Patient) -> None:
    kernel = patient.kernel
    await submit(kernel, a_job(concurrency=keyed("customer")))
    job = await start_one(kernel, await join(kernel))
    await patient.sql(ENDED, id=job.id)
    await patient.is_mended(Invariant.FINAL_IF_GONE, job)
    await patient.is_told(job)
    other = a_job(concurrency=keyed("customer"))
    await submit(kernel, other)
    assert (await claim_one(kernel, await join(kernel))).id == other.id


async def test_a_job_that_runs_without_a_lease_is_lost_when_its_new_one_ends(patient: Patient) -> None:
    kernel = patient.kernel
    await submit(kernel, a_job(retry=repeatable(2)))
    worker = await join(kernel)
    job = await start_one(kernel, worker)
    await patient.sql("DELETE FROM etl.worker_session WHERE id = :id", id=worker.id)
    assert list(await kernel.queue.rescue(10)) == []
    await patient.is_mended(Invariant.LEASED_IF_RUNNING, job)
    await patient.is_told(job)
    assert list(await kernel.queue.rescue(10)) == []
    await kernel.expire_lease(worker.id)
    (after,) = await kernel.queue.rescue(10)
    assert (after.state, after.attempt, after.outcome) == (JobState.QUEUED, 1, Outcome.LOST)


async def test_a_worker_whose_session_was_deleted_keeps_what_it_runs(patient: Patient) -> None:
    """It notices with its next renewal, begins anew and adopts: the doctor was no danger to it."""
    kernel = patient.kernel
    await submit(kernel, a_job(retry=repeatable(2)))
    worker = await join(kernel)
    job = await start_one(kernel, worker)
    await patient.sql("DELETE FROM etl.worker_session WHERE id = :id", id=worker.id)
    await patient.sees(fix=True)
    new = await join(kernel)
    (adopted,) = await kernel.queue.adopt(new.id, [claim_of(job)])
    assert (adopted.session_id, adopted.fence) == (new.id, job.fence)


async def test_attempts_of_dead_workers_are_ended_where_nobody_does_maintenance(patient: Patient) -> None:
    kernel = patient.kernel
    await submit(kernel, a_job())
    worker = await join(kernel)
    job = await start_one(kernel, worker)
    await kernel.expire_last_lease(worker.id)
    await patient.is_mended(Invariant.RESCUED_IF_DEAD, job)
    await patient.is_told(job, EventKind.FAILED)
    assert (await kernel.history.get(job.id)).outcome is Outcome.LOST


async def test_a_unit_that_nobody_holds_is_given_back(patient: Patient) -> None:
    kernel, first = patient.kernel, a_job(concurrency=keyed("customer"))
    await submit(kernel, first)
    await patient.sql("UPDATE etl.limit_slot SET job_id = :id", id=uuid4())
    await patient.sees(fix=True)
    assert (await patient.sees())[Invariant.COUNTED_IF_LIMITED].cure is None
    assert (await claim_one(kernel, await join(kernel))).id == first.id


async def test_a_job_that_runs_without_its_unit_gets_one_and_keeps_others_out(patient: Patient) -> None:
    kernel = patient.kernel
    await submit(kernel, a_job(concurrency=keyed("customer")))
    worker = await join(kernel)
    job = await start_one(kernel, worker)
    await patient.sql("UPDATE etl.limit_slot SET job_id = NULL")
    await patient.is_mended(Invariant.COUNTED_IF_LIMITED, job)
    await patient.is_told(job)
    await submit(kernel, a_job(concurrency=keyed("customer")))
    assert list(await kernel.queue.claim(worker.id, 10)) == []


@pytest.mark.parametrize("broken", ["UPDATE etl.limit_slot SET job_id = NULL", "DELETE FROM etl.limit_slot"])
async def test_a_job_parked_behind_a_limit_that_has_room_is_woken(patient: Patient, broken: str) -> None:
    kernel, second = patient.kernel, a_job(concurrency=keyed("customer"))
    await submit(kernel, a_job(concurrency=keyed("customer")))
    worker = await join(kernel)
    first = await start_one(kernel, worker)
    await submit(kernel, second)
    assert list(await kernel.queue.claim(worker.id, 1)) == []
    # As if the report had been half written.
    await patient.sql("DELETE FROM etl.job_queue WHERE job_id = :id", id=first.id)
    await patient.sql(ENDED, id=first.id)
    await patient.sql(broken)
    await patient.is_mended(Invariant.AWAKE_IF_FREE, second)
    await patient.is_told(second)


async def test_logs_of_no_job_are_deleted_and_those_of_a_job_stay(patient: Patient) -> None:
    job = a_job()
    await submit(patient.kernel, job)
    lost, kept = (write_log(patient.settings, LogRef(job_id=each.id, fence=1)) for each in (a_job(), job))
    found = (await patient.sees())["logs"]
    assert found.cure is not None
    assert (await patient.sees(fix=True))["logs"].fixed
    assert (lost.exists(), kept.exists()) == (False, True)
    assert (await patient.sees())["logs"].cure is None


def write_log(settings: Settings, ref: LogRef) -> Path:
    digits = ref.job_id.hex
    path = settings.logs_directory / digits[:6] / digits[6:8] / str(ref.job_id) / f"{ref.fence}.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"line\n")
    return path


async def test_a_log_that_is_missing_is_noted_with_its_job_once(patient: Patient) -> None:
    kernel, name = patient.kernel, "logs of attempts"
    await submit(kernel, a_job())
    job = await start_one(kernel, await join(kernel, host=socket.gethostname()))
    await kernel.queue.report([report_of(job, judge(Exit(exit_code=0, log_bytes=5), 60))])
    log = write_log(patient.settings, LogRef(job_id=job.id, fence=job.fence))
    assert (await patient.sees())[name].cure is None
    log.unlink()
    assert (await patient.sees())[name].cure is not None
    assert (await patient.sees(fix=True))[name].fixed
    assert (await patient.sees())[name].cure is None
    await patient.is_told(job)


async def test_two_doctors_at_once_mend_once(patient: Patient) -> None:
    kernel, job = patient.kernel, a_job()
    await submit(kernel, job)
    await patient.sql("DELETE FROM etl.job_queue WHERE job_id = :id", id=job.id)
    await asyncio.gather(*(patient.sees(fix=True) for _ in range(4)))
    await patient.is_told(job)


async def test_a_healthy_queue_at_work_shows_nothing(patient: Patient) -> None:
    """Every state at once: waiting, parked, running, retried, ended, put back."""
    kernel = patient.kernel
    worker = await join(kernel)
    await submit(kernel, *(a_job(concurrency=keyed("customer"), retry=repeatable(2)) for _ in range(4)))
    await submit(kernel, a_job(), a_job())
    jobs = await kernel.queue.claim(worker.id, 3)
    await kernel.queue.start([claim_of(job) for job in jobs[:2]])
    await kernel.queue.put_back([claim_of(jobs[2])])
    await kernel.queue.report([report_of(jobs[0], succeeded())])
    assert {name: each for name, each in (await patient.sees()).items() if each.cure is not None} == {}

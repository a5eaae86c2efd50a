"""Everything at once: workers killed and stopped, connections cut, the database crashed.

Small by default; `./run test tests/chaos --chaos-jobs 2000` is the large one.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from adapters.postgres.engine import Database
from adapters.postgres.job_history import PostgresJobHistory
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.system.clock import SystemChance
from application.asking.patience import until_answered
from domain.attempt import Attempt, Outcome
from domain.command import Command
from domain.job import Job, JobState, new_job
from domain.job_spec import JobSpec
from domain.policy import ConcurrencyLimit, RetryPolicy
from tests.chaos.cluster import Cluster
from tests.chaos.conftest import SCRIPT
from tests.chaos.ledger import Entry, Ledger

ATTEMPTS = 60
KEYS = 5
LIMIT = 2


def job_number(number: int) -> Job:
    """Every third shares one of a few concurrency keys; none runs out of attempts by losses alone."""
    spec = JobSpec(
        command=Command(script=SCRIPT),
        timeout_seconds=60,
        stop_grace_seconds=1,
        retry=RetryPolicy(max_attempts=ATTEMPTS, delay_seconds=0.1, max_delay_seconds=1),
        concurrency=ConcurrencyLimit(key=f"key-{number % KEYS}", limit=LIMIT) if number % 3 == 0 else None,
    )
    return new_job(SystemChance().new_id(), spec, datetime.now(UTC), "chaos")


@pytest.mark.timeout(1800)
async def test_after_any_crash_every_job_ends_once_and_no_two_attempts_overlap(
    cluster: Cluster, ledger: Ledger, request: pytest.FixtureRequest
) -> None:
    database = Database(cluster.url)
    queue, history = PostgresJobQueue(database, SystemChance()), PostgresJobHistory(database)
    jobs = [job_number(number) for number in range(request.config.getoption("--chaos-jobs"))]
    for at in range(0, len(jobs), 500):
        await queue.submit(jobs[at : at + 500])

    await hurt_until_final(cluster, history, [job.id for job in jobs])

    ended = [await read(history, job.id) for job in jobs]
    attempts = {job.id: await history.attempts(job.id) for job in jobs}
    await database.close()
    for worker in cluster.workers:
        await worker.started()
    assert [worker.stop() for worker in cluster.workers] == [0, 0, 0]
    assert {job.state for job in ended} == {JobState.SUCCEEDED}, cluster.done
    entries = ledger.entries()
    for job in ended:
        assert_told_by_both(job, attempts[job.id], entries[job.id])
        assert_no_overlap(entries[job.id])
    assert_limits_held([job for job in ended if job.spec.concurrency], entries)
    assert_nobody_left(ledger)


async def hurt_until_final(cluster: Cluster, history: PostgresJobHistory, ids: Sequence[UUID]) -> None:
    """One fault after the other, until every job is final; at least three, however fast it goes."""
    live = list(ids)
    while live or len(cluster.done) < 3:
        await cluster.hurt()
        await asyncio.sleep(cluster.random.uniform(0.2, 1.5))
        live = [job_id for job_id in live if not (await read(history, job_id)).state.is_final]


async def read(history: PostgresJobHistory, job_id: UUID) -> Job:
    """However often the database is away meanwhile."""
    return await until_answered(lambda: history.get(job_id))


def assert_told_by_both(job: Job, attempts: Sequence[Attempt], entries: dict[int, Entry]) -> None:
    """The ledger and the database tell the same story.

    A program may be missing from the ledger only where its attempt was lost: its worker was killed
    between recording the start and executing it.
    """
    started = {a.fence: a for a in attempts if a.started_at is not None}
    assert set(entries) <= set(started), "ran without being recorded as started"
    unseen = [a for fence, a in started.items() if fence not in entries]
    assert all(a.ending is not None and a.ending.outcome is Outcome.LOST for a in unseen)
    assert len(started) == job.attempt
    good = [a for a in started.values() if a.ending is not None and a.ending.outcome is Outcome.SUCCEEDED]
    assert [a.fence for a in good] == [job.fence]
    assert entries[job.fence].marks[-1][0] == "end"


def assert_no_overlap(entries: dict[int, Entry]) -> None:
    """An attempt never began while an earlier one could still write."""
    in_order = [entries[fence] for fence in sorted(entries)]
    for earlier, later in pairwise(in_order):
        assert earlier.last < later.first


def assert_limits_held(jobs: Sequence[Job], entries: dict[UUID, dict[int, Entry]]) -> None:
    """At no instant did more programs of one key write than its limit allows."""
    for number in range(KEYS):
        mine = [j for j in jobs if j.spec.concurrency and j.spec.concurrency.key == f"key-{number}"]
        spans = [entry for job in mine for entry in entries[job.id].values()]
        edges = sorted([(s.first, 1) for s in spans] + [(s.last, -1) for s in spans])
        running = 0
        for _, step in edges:
            running += step
            assert running <= LIMIT


def assert_nobody_left(ledger: Ledger) -> None:
    """No process of any attempt is alive when the workers have gone."""
    job_ids = {str(job_id).encode() for job_id in ledger.entries()}
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            text = environ.read_bytes()
        except OSError:
            continue
        assert not any(b"ETL_JOB_ID=" + job_id in text for job_id in job_ids), environ

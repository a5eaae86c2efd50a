"""PostgreSQL under pressure: deadlocks, migrations, a full disk, a backlog, a storm of failures."""

import asyncio
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from adapters.postgres import migrate as migrating
from application.ports.job_history import JobFilter
from domain.errors import DatabaseUnavailable
from domain.job import Job, JobState
from domain.policy import RetryPolicy
from tests.builders import a_job, claim_of, failed, jobs, keyed, report_of
from tests.contract.kernels import join, submit
from tests.contract.postgres_kernel import PostgresKernel, postgres_kernel
from tests.embedded_server import Server
from tests.faults.waiting import eventually
from tests.small_disk import small_disk

# A sequence is not rolled back, so it counts the tries of one transaction.
FAIL_TWICE = """
CREATE SEQUENCE etl.tries;
CREATE FUNCTION etl.fail_twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('etl.tries') <= 2 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fail_twice AFTER {write} FOR EACH STATEMENT EXECUTE FUNCTION etl.fail_twice();
"""


@pytest.mark.parametrize("code", ["40001", "40P01"], ids=["serialization", "deadlock"])
@pytest.mark.parametrize("write", ["INSERT ON etl.job", "UPDATE ON etl.job_queue", "INSERT ON etl.attempt"])
async def test_f16_a_serialization_failure_or_deadlock_is_not_seen(
    kernel: PostgresKernel, database_url: str, code: str, write: str
) -> None:
    """F16, in a submit, a claim, and a start and a report."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(FAIL_TWICE.format(code=code, write=write))
    worker = await join(kernel)
    batch = await submit(kernel, *jobs(3))
    claimed = await kernel.queue.claim(worker.id, 10)
    assert [job.id for job in claimed] == [job.id for job in batch]
    done = await kernel.queue.report([report_of(job) for job in claimed])
    assert [job.state for job in done] == [JobState.SUCCEEDED] * 3
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT last_value FROM etl.tries").fetchone()
        assert row is not None
        assert row[0] >= 3


async def test_f16_backfills_that_name_queues_and_keys_crosswise_all_succeed(kernel: PostgresKernel) -> None:
    """F16: two submits that take the same locks in opposite order."""
    names = [f"queue-{number}" for number in range(20)]

    def backfill(order: list[str]) -> list[Job]:
        return [a_job(queue=name, concurrency=keyed(name, 3)) for name in order]

    orders = [names, names[::-1]] * 5
    await asyncio.gather(*(kernel.queue.submit(backfill(order)) for order in orders))
    assert {queue.name: queue.waiting for queue in await kernel.queue.queues()} == dict.fromkeys(names, 10)


# -- F17 -----------------------------------------------------------------------------------------------

NEXT = """
from alembic import op

revision = "9001"
down_revision = "{previous}"


def upgrade() -> None:
    op.execute("ALTER TABLE etl.job_queue ADD COLUMN note text")
"""


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A release that brings one migration more, a column of the busiest table."""
    source = Path(migrating.__file__).parent / "migrations"
    shutil.copytree(source, tmp_path / "migrations")
    versions = sorted((tmp_path / "migrations/versions").glob("v*.py"))
    previous = versions[-1].stem[1:5]
    (tmp_path / "migrations/versions/v9001_note.py").write_text(NEXT.format(previous=previous))
    monkeypatch.setattr(migrating, "__file__", str(tmp_path / "migrate.py"))
    migrating.known_revisions.cache_clear()
    yield
    migrating.known_revisions.cache_clear()


@pytest.mark.usefixtures("next_version")
async def test_f17_a_migration_under_load_gives_way_and_old_workers_go_on(
    kernel: PostgresKernel, database_url: str
) -> None:
    """F17: behind a long reader it gives up after its lock_timeout, before any statement of ours fails;
    when it is run again it passes, and this process, of the version before, notices nothing.
    """
    async with load(kernel) as done:
        with closing(psycopg.connect(database_url)) as reader:
            reader.execute("SELECT count(*) FROM etl.job_queue")
            with pytest.raises(DatabaseUnavailable):
                await migrating.migrate(database_url)
            reader.rollback()
        assert await migrating.migrate(database_url) == ["9001"]
        before = done["jobs"]
        await eventually(lambda: done["jobs"] >= before + 20)


@asynccontextmanager
async def load(kernel: PostgresKernel) -> AsyncIterator[Counter[str]]:
    """Jobs from submit to end, one after the other, in four lines; any error fails the test."""
    worker, done = await join(kernel), Counter[str]()

    async def line() -> None:
        while True:
            await submit(kernel, a_job())
            claimed = await kernel.queue.claim(worker.id, 1)
            await kernel.queue.start([claim_of(job) for job in claimed])
            done["jobs"] += len(await kernel.queue.report([report_of(job) for job in claimed]))

    tasks = [asyncio.create_task(line()) for _ in range(4)]
    try:
        await eventually(lambda: done["jobs"] or any(task.done() for task in tasks))
        yield done
        assert not any(task.done() for task in tasks), [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# -- F18 -----------------------------------------------------------------------------------------------

DISK_MEGABYTES = 160


@pytest.fixture
def small(server: Server) -> Iterator[Path]:
    """The server's files, on a disk of their own that is soon full."""
    data, copy = server.directory / "data", server.directory / "copy"
    server._end(signal.SIGINT)
    subprocess.run(["cp", "-a", data, copy], check=True)
    with small_disk(data, DISK_MEGABYTES):
        subprocess.run(["cp", "-a", f"{copy}/.", str(data)], check=True)
        server.start()
        yield data
        server._end(signal.SIGQUIT)


async def test_f18_on_a_full_disk_nothing_is_accepted_and_all_that_was_is_there_afterwards(
    small: Path, server: Server
) -> None:
    """F18: PostgreSQL refuses, or panics when it cannot write its log: both are told as unavailable."""
    accepted: list[Job] = []
    async with postgres_kernel(server.url) as kernel:
        ballast = small / "ballast"
        free = shutil.disk_usage(small).free
        ballast.write_bytes(bytes(free - 20 * 2**20))
        with pytest.raises(DatabaseUnavailable):
            await submit_for_ever(kernel, accepted)
        ballast.unlink()
        server.kill()
        server.start()
        for job in (accepted[0], accepted[-1]):
            assert await kernel.history.get(job.id) == job
        await submit(kernel, a_job())
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SELECT count(*) FROM etl.job").fetchone()
        # The batch whose submit failed may have been committed, with its answer lost: all of it or nothing.
        assert row is not None
        assert row[0] in (len(accepted) + 1, len(accepted) + 101)


async def submit_for_ever(kernel: PostgresKernel, accepted: list[Job]) -> None:
    while True:
        batch = jobs(100, environment={"FILL": "x" * 4000})
        await kernel.queue.submit(batch)
        accepted += batch


# -- F19 -----------------------------------------------------------------------------------------------

BACKLOG = 100_000
FILL = """
INSERT INTO etl.job (id, spec, queue, labels, submitted_at, submitted_by)
SELECT gen_random_uuid(), j.spec, j.queue, j.labels, j.submitted_at, j.submitted_by
FROM etl.job j, generate_series(1, 100000);
INSERT INTO etl.job_queue (job_id, queue, priority, due_at, state, attempt, max_attempts, fence,
    submitted_at)
SELECT id, queue, (random() * 4)::int, submitted_at, 'queued', 0, 1, 0, submitted_at
FROM etl.job WHERE id NOT IN (SELECT job_id FROM etl.job_queue);
"""
ROWS_READ = """
SELECT (SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE schemaname = 'etl')
     + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes WHERE schemaname = 'etl')
"""


async def test_f19_with_100_000_jobs_waiting_claims_and_lists_read_a_few_rows(database_url: str) -> None:
    """F19: bounds on what is read, which a busy machine does not change; figures are in benchmarks."""
    async with postgres_kernel(database_url) as kernel:
        await submit(kernel, a_job())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(FILL)
        connection.execute("ANALYZE")
    before = rows_read(database_url)
    async with postgres_kernel(database_url) as kernel, asyncio.timeout(60):
        worker = await join(kernel)
        for _ in range(20):
            claimed = await kernel.queue.claim(worker.id, 4)
            assert len(claimed) == 4
            assert len(await kernel.queue.report([report_of(job) for job in claimed])) == 4
        for matching in (JobFilter(), JobFilter(queue="default"), JobFilter(states=(JobState.SUCCEEDED,))):
            assert len(await kernel.history.list(matching, None, 50)) == 50
    assert 0 < rows_read(database_url) - before < BACKLOG / 4


def rows_read(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        row = connection.execute(ROWS_READ).fetchone()
        assert row is not None
        return int(row[0])


async def test_f59_a_thousand_failures_do_not_come_back_at_once(kernel: PostgresKernel) -> None:
    """F59: each waits its own while, within the stated jitter; nothing is claimable before."""
    worker = await join(kernel)
    await submit(kernel, *jobs(1000, retry=RetryPolicy(max_attempts=3, delay_seconds=100, jitter=0.1)))
    held = [job for _ in range(10) for job in await kernel.queue.claim(worker.id, 100)]
    await kernel.queue.start([claim_of(job) for job in held])
    after = await kernel.queue.report([report_of(job, failed()) for job in held])
    assert await kernel.queue.claim(worker.id, 100) == []
    due = sorted(job.not_before for job in after if job.not_before is not None)
    assert len(due) == 1000
    assert timedelta(seconds=15) < due[-1] - due[0] <= timedelta(seconds=20)
    by_second = Counter(int((at - due[0]).total_seconds()) for at in due)
    assert max(by_second.values()) < 150

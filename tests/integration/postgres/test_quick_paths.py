"""The one-statement paths leave the very rows that the general ones leave, and overtake nobody."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from adapters.postgres import claiming, reporting, submitting
from adapters.postgres.engine import Database
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from adapters.system.clock import SystemChance
from application.ports.job_queue import Claim, Report
from domain.job import Job
from tests.builders import (
    CHANCE,
    NOON,
    TERMS,
    a_job,
    a_request,
    a_worker,
    an_ending,
    claim_of,
    jobs,
    keyed,
    repeatable,
    report_of,
)

TABLES = {
    "job": "id",
    "job_queue": "job_id",
    "job_end": "job_id",
    "attempt": "job_id",
    "event": "job_id, number",
    "queue": "name",
    "limit_slot": "scope, number",
    "idempotency": "key",
}
ODD = 'Ünï "quoted" \\ 日本 \x7f'
Rows = dict[str, list[dict[str, Any]]]


class General:
    """The queue's verbs without their short cuts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def submit(self, new: Sequence[Job]) -> None:
        await self._database.run(lambda c: submitting.submit(c, new, a_request(), None))

    async def claim(self, session_id: UUID, limit: int) -> Sequence[Job]:
        return (await self._database.run(lambda c: claiming.claim(c, session_id, limit))).jobs

    async def start(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        return await self._database.run(lambda c: reporting.start(c, claims))

    async def report(self, reports: Sequence[Report]) -> Sequence[Job]:
        counted = await self._database.run(lambda c: reporting.report(c, reports, CHANCE, set()))
        return [counted[r.job_id, r.fence] for r in reports]


class Quick:
    """The queue as everybody uses it."""

    def __init__(self, database: Database) -> None:
        self._queue = PostgresJobQueue(database, CHANCE)
        self.claim, self.start, self.report = self._queue.claim, self._queue.start, self._queue.report

    async def submit(self, new: Sequence[Job]) -> None:
        await self._queue.submit(new, a_request())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=3)
    yield database
    await database.close()


def varied() -> list[Job]:
    later = datetime.now(NOON.tzinfo) + timedelta(days=1)
    return [
        a_job(at=NOON, by=ODD, labels={"team": ODD, "a": "b"}, priority=7),
        a_job(at=NOON, queue="other", expires_at=later, retry=repeatable(5)),
        a_job(at=NOON, not_before=NOON + timedelta(seconds=1), environment={"X": ODD}),
    ]


async def test_both_paths_leave_the_same_rows_and_answers(database: Database) -> None:
    new, worker = varied(), a_worker(host="h", pid=1)
    left: list[list[Any]] = []
    for path in (Quick(database), General(database)):
        await _clear(database)
        await PostgresWorkerRegistry(database).join(worker, TERMS)
        left.append([step async for step in _life(path, database, worker.id, new)])
    quick, general = left
    for at_quick, at_general in zip(quick, general, strict=True):
        assert at_quick == at_general


async def _life(path: Quick | General, database: Database, session: UUID, new: list[Job]) -> Any:
    await path.submit(new)
    yield await _rows(database)
    claimed = await path.claim(session, 10)
    yield _timeless(claimed)
    yield await _rows(database)
    yield await path.start([claim_of(job) for job in claimed])
    yield await _rows(database)
    queue = PostgresJobQueue(database, SystemChance())
    await queue.change(claimed[0].id, lambda job: job.cancel(NOON), "bob")
    endings = [an_ending(exit_code=0), an_ending(exit_code=0, log_bytes=7), an_ending(exit_code=0)]
    yield _timeless(await path.report([report_of(j, e) for j, e in zip(claimed, endings, strict=True)]))
    yield await _rows(database)


def _timeless(found: Sequence[Job]) -> list[dict[str, Any]]:
    return [_timeless_row({name: getattr(job, name) for name in Job.__slots__}, {}) for job in found]


async def _rows(database: Database) -> Rows:
    """All that is stored, documents as they are byte for byte, instants as the order they come in."""
    found: Rows = {}
    async with database.transaction() as connection:
        for table, order in TABLES.items():
            rows = await connection.execute(text(f"SELECT * FROM etl.{table} ORDER BY {order}"))  # noqa: S608 - constants
            found[table] = [dict(row._mapping) for row in rows]
        for table, column in (("job", "spec"), ("attempt", "ending")):
            query = f"SELECT CAST({column} AS text) FROM etl.{table} ORDER BY {TABLES[table]}"  # noqa: S608 - as above
            rows = await connection.execute(text(query))
            found[f"{table}.{column}"] = [dict(row._mapping) for row in rows]
    instants = {v for rows_ in found.values() for row in rows_ for v in row.values() if _is_now(v)}
    ranks = {instant: rank for rank, instant in enumerate(sorted(instants))}
    return {table: [_timeless_row(row, ranks) for row in rows_] for table, rows_ in found.items()}


def _timeless_row(row: dict[str, Any], ranks: dict[Any, int]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in ("number", "created_at")}
    return {name: ranks.get(v, "now") if _is_now(v) else v for name, v in kept.items()}


def _is_now(value: object) -> bool:
    return isinstance(value, datetime) and abs(value - datetime.now(NOON.tzinfo)) < timedelta(hours=1)


async def _clear(database: Database) -> None:
    async with database.transaction() as connection:
        tables = ", ".join(f"etl.{table}" for table in (*TABLES, "worker_session"))
        await connection.execute(text(f"TRUNCATE {tables}"))


# -- order and limits ------------------------------------------------------------------------------


async def test_a_limited_job_is_not_passed_by_because_others_are_claimed_quicker(database: Database) -> None:
    queue, worker = PostgresJobQueue(database, CHANCE), a_worker()
    await PostgresWorkerRegistry(database).join(worker, TERMS)
    first, second, third, last = (
        a_job(priority=9),
        a_job(priority=5, concurrency=keyed("sales")),
        a_job(priority=5, queue="narrow"),
        a_job(priority=1),
    )
    await queue.set_slots("narrow", 1)
    await queue.submit([last, third, second, first])
    assert [job.id for job in await queue.claim(worker.id, 2)] == [first.id, second.id]
    assert [job.id for job in await queue.claim(worker.id, 2)] == [third.id, last.id]


@pytest.mark.parametrize("seed", range(8))
async def test_both_paths_claim_the_same_jobs_in_the_same_order(database: Database, seed: int) -> None:
    rng, later = random.Random(seed), datetime.now(NOON.tzinfo) + timedelta(days=1)  # noqa: S311 - no secret
    new = [
        a_job(
            at=NOON + timedelta(seconds=rng.randrange(5)),
            queue=rng.choice(["a", "b", "c"][: 1 + seed % 3]),
            priority=rng.randrange(3),
            not_before=rng.choice([None, None, later]),
            concurrency=keyed("sales") if rng.random() < 0.05 else None,
        )
        for _ in range(60)
    ]
    claimed: list[list[Sequence[UUID]]] = []
    for path in (Quick(database), General(database)):
        await _clear(database)
        worker = a_worker()
        await PostgresWorkerRegistry(database).join(worker, TERMS)
        await path.submit(new)
        claimed.append([[job.id for job in await path.claim(worker.id, 7)] for _ in range(9)])
    assert claimed[0] == claimed[1]
    assert claimed[0][0]


@pytest.mark.parametrize("names", [["a"], ["a", "b"]], ids=["one line", "two lines"])
async def test_a_claim_finds_what_stands_behind_the_jobs_that_a_rival_holds(
    database: Database, database_url: str, names: list[str]
) -> None:
    queue, worker = PostgresJobQueue(database, CHANCE), a_worker()
    await PostgresWorkerRegistry(database).join(worker, TERMS)
    new = [a_job(at=NOON + timedelta(seconds=n), queue=names[n % len(names)]) for n in range(100)]
    await queue.submit([*new, a_job(at=NOON, priority=-1)])
    async with await psycopg.AsyncConnection.connect(database_url) as rival:
        held = [job.id for job in new[:95]]
        await rival.execute("SELECT FROM etl.job_queue WHERE job_id = ANY (%s) FOR UPDATE", (held,))
        assert [job.id for job in await queue.claim(worker.id, 4)] == [job.id for job in new[95:99]]
        assert [job.spec.priority for job in await queue.claim(worker.id, 4)] == [0, -1]
        assert await queue.claim(worker.id, 4) == []


SETTINGS: dict[str, Callable[[PostgresJobQueue], Awaitable[object]]] = {
    "slots": lambda queue: queue.set_slots("default", 2),
    "pause": lambda queue: queue.pause("default", "bob"),
}


@pytest.mark.parametrize(("setting", "most"), [("slots", 2), ("pause", 0)])
async def test_a_setting_made_after_a_claim_took_its_snapshot_binds_it(
    database: Database, database_url: str, setting: str, most: int
) -> None:
    queue, worker = PostgresJobQueue(database, CHANCE), a_worker()
    await PostgresWorkerRegistry(database).join(worker, TERMS)
    await queue.submit(jobs(5))
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        # The claim has its snapshot when it waits for its session's row.
        await holder.execute("SELECT FROM etl.worker_session FOR UPDATE")
        claim = asyncio.create_task(queue.claim(worker.id, 5))
        await _someone_waits_for_a_lock(database_url)
        await SETTINGS[setting](queue)
        await holder.rollback()
        assert len(await claim) == most


async def _someone_waits_for_a_lock(url: str) -> None:
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection, asyncio.timeout(30):
        while await (await connection.execute(waiting)).fetchone() is None:  # noqa: ASYNC110 - the server tells nobody of it
            await asyncio.sleep(0.01)


async def test_a_job_that_was_put_off_after_a_claim_took_its_snapshot_is_left_alone(
    database: Database, database_url: str
) -> None:
    queue, worker = PostgresJobQueue(database, CHANCE), a_worker()
    await PostgresWorkerRegistry(database).join(worker, TERMS)
    await queue.submit([a_job()])
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("SELECT FROM etl.worker_session FOR UPDATE")
        claim = asyncio.create_task(queue.claim(worker.id, 5))
        await _someone_waits_for_a_lock(database_url)
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            await other.execute("UPDATE etl.job_queue SET due_at = now() + interval '1 hour'")
        await holder.rollback()
        assert await claim == []


async def test_successes_among_other_reports_count_all_the_same(database: Database) -> None:
    queue, worker = PostgresJobQueue(database, CHANCE), a_worker(slots=9)
    await PostgresWorkerRegistry(database).join(worker, TERMS)
    await queue.submit(jobs(3, retry=repeatable(2)))
    claimed = await queue.claim(worker.id, 3)
    await queue.start([claim_of(job) for job in claimed])
    failed, *others = claimed
    reports = [report_of(failed, an_ending(exit_code=3)), *(report_of(job) for job in others)]
    ended = await queue.report(reports)
    assert [job.state for job in ended] == ["queued", "succeeded", "succeeded"]
    assert [job.state for job in await queue.report(reports)] == ["queued", "succeeded", "succeeded"]

"""What comes together goes to PostgreSQL together, and each caller hears of their own alone."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, LiteralString

import psycopg
import pytest

from adapters.postgres.access_store import PostgresAccessStore
from adapters.postgres.engine import Database
from adapters.postgres.job_queue import PostgresJobQueue
from application.ports.job_queue import JobQueue, Submitted
from domain.access import ApiKey
from domain.errors import DatabaseUnavailable
from domain.job import Job
from tests.builders import CHANCE, NOON, a_job, a_key, jobs

TOGETHER = 50
PATIENCE = 60.0
NOT_STORABLE = {"team": "\0"}


class Counted(Database):
    """Knows how many statements went out, and may hold one back."""

    statements = 0
    held: asyncio.Event | None = None

    async def at_once(self, statement: LiteralString, values: Mapping[str, Any]) -> list[Any]:
        self.statements += 1
        held = self.held
        rows = await super().at_once(statement, values)
        if held is not None:
            await held.wait()
        return rows


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Counted]:
    database = Counted(database_url, pool_size=3)
    yield database
    await database.close()


@pytest.fixture
def queue(database: Counted) -> JobQueue:
    return PostgresJobQueue(database, CHANCE)


async def _at_once(queue: JobQueue, *new: Job) -> list[Submitted | BaseException]:
    return await asyncio.gather(*(queue.submit([job]) for job in new), return_exceptions=True)


async def _ids(url: str) -> set[Any]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await (await connection.execute("SELECT job_id FROM etl.job_queue")).fetchall()
    return {row[0] for row in rows}


async def test_lone_jobs_that_come_behind_the_first_are_one_statement_and_one_answer_each(
    database: Counted, queue: JobQueue, database_url: str
) -> None:
    new = jobs(1 + TOGETHER)
    assert await _at_once(queue, *new) == [Submitted(jobs=(job,)) for job in new]
    assert database.statements == 1 + 1
    assert await _ids(database_url) == {job.id for job in new}


async def test_a_submit_that_hangs_holds_up_no_other(database: Counted, queue: JobQueue) -> None:
    stuck = asyncio.create_task(queue.submit([a_job()]))
    hanging = database.held = asyncio.Event()
    while not database.statements:  # noqa: ASYNC110 - no event tells of a statement that has begun
        await asyncio.sleep(0)
    database.held, job = None, a_job()
    async with asyncio.timeout(PATIENCE):
        assert await queue.submit([job]) == Submitted(jobs=(job,))
    assert not stuck.done()
    hanging.set()
    await stuck


async def test_a_job_that_cannot_be_stored_fails_alone(queue: JobQueue, database_url: str) -> None:
    good, bad = jobs(5), a_job(labels=NOT_STORABLE)
    *answers, refusal = await _at_once(queue, *good, bad)
    assert answers == [Submitted(jobs=(job,)) for job in good]
    assert isinstance(refusal, psycopg.Error)
    assert await _ids(database_url) == {job.id for job in good}


async def test_a_job_that_came_before_is_answered_as_it_stands_and_its_neighbours_are_new(
    queue: JobQueue,
) -> None:
    known, fresh = a_job(), a_job()
    await queue.submit([known])
    cancelled = await queue.change(known.id, lambda job: job.cancel(NOON), "bob")
    first, *answers = await _at_once(queue, a_job(), known, fresh)
    assert answers == [Submitted(jobs=(cancelled,)), Submitted(jobs=(fresh,))]
    assert isinstance(first, Submitted)


async def test_of_jobs_that_come_together_all_hear_that_the_database_is_away() -> None:
    away = PostgresJobQueue(Database("postgresql://nobody@127.0.0.1:1/nothing"), CHANCE)
    for answer in await _at_once(away, *jobs(3)):
        assert isinstance(answer, DatabaseUnavailable)


async def test_a_key_revoked_while_another_look_up_is_under_way_is_found_revoked(database: Counted) -> None:
    """The look-up that comes behind it takes no answer that is older than itself."""
    access, key = PostgresAccessStore(database), a_key()
    await access.add(key)
    database.held = asyncio.Event()
    before = asyncio.create_task(access.find(key.digest))
    while not database.statements:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    await access.revoke(key.id, NOON)
    after = [asyncio.create_task(access.find(key.digest)) for _ in range(TOGETHER)]
    await asyncio.sleep(0)
    database.held.set()
    await before
    found = await asyncio.gather(*after)
    assert {_revoked(each) for each in found} == {True}
    assert database.statements == 1 + 1


def _revoked(key: ApiKey | None) -> bool:
    return key is not None and key.revoked_at == NOON


async def test_a_statement_that_hangs_holds_up_no_later_look_up(database: Counted) -> None:
    access, key = PostgresAccessStore(database), a_key()
    await access.add(key)
    database.held = asyncio.Event()
    stuck = asyncio.create_task(access.find(key.digest))
    while not database.statements:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    hanging, database.held = database.held, None
    async with asyncio.timeout(PATIENCE):
        while (await _soon(access.find(key.digest))) is None:
            assert not stuck.done()
    hanging.set()
    assert await stuck == key


async def _soon(asked: Coroutine[Any, Any, ApiKey | None]) -> ApiKey | None:
    """None if it still hangs after a while."""
    done, _ = await asyncio.wait([asyncio.create_task(asked)], timeout=0.1)
    return done.pop().result() if done else None

"""Claims beside a deep backlog, a long history, and a crowd behind one full key."""

import time
from collections.abc import Awaitable, Callable

import psycopg

from adapters.postgres.engine import Database
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from adapters.system.clock import SystemChance
from application.ports.job_queue import Report
from benchmarks.queue.ours import DONE, noop
from domain.policy import ConcurrencyLimit
from domain.worker import LeaseTerms, Worker

JOBS = 2000
BATCH = 10


async def claims(url: str) -> float:
    """Jobs a second of one worker in batches, on jobs that go before all that is there."""
    database, chance = Database(url, pool_size=2), SystemChance()
    queue, session_id = PostgresJobQueue(database, chance), chance.new_id()
    us = Worker(id=session_id, host="benchmark", pid=1, version="0", slots=BATCH)
    await PostgresWorkerRegistry(database).join(us, LeaseTerms(seconds=3600))
    for _ in range(JOBS // 500):
        await queue.submit([noop() for _ in range(500)])
    began, done = time.monotonic(), 0
    while done < JOBS:
        jobs = await queue.claim(session_id, BATCH)
        await queue.report([Report(job_id=job.id, fence=job.fence, ending=DONE) for job in jobs])
        done += len(jobs)
    seconds = time.monotonic() - began
    await database.close()
    return JOBS / seconds


# Rows are copies of one that our own submit and report have made, with ids of their time.
_ID = """(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
    || substr(md5(random()::text), 1, 3) || 'a' || substr(md5(n::text), 1, 15))::uuid"""


async def backlog(url: str, rows: int) -> None:
    """Jobs that wait."""
    await _made(url, ended=False)
    await _multiply(url, rows, {"job": "id", "job_queue": "job_id"})


async def history(url: str, rows: int) -> None:
    """Jobs that have ended."""
    await _made(url, ended=True)
    await _multiply(url, rows, {"job": "id", "job_end": "job_id", "attempt": "job_id"})


async def crowd(url: str, rows: int) -> None:
    """A tenth as many jobs that wait for one key, whose only unit is held for ever."""
    database, chance = Database(url, pool_size=2), SystemChance()
    queue, session_id = PostgresJobQueue(database, chance), chance.new_id()
    us = Worker(id=session_id, host="holder", pid=1, version="0", slots=1)
    await PostgresWorkerRegistry(database).join(us, LeaseTerms(seconds=36000))
    for _ in range(rows // 10 // 1000):
        await queue.submit([noop(ConcurrencyLimit(key="full")) for _ in range(1000)])
    held = await queue.claim(session_id, 1)
    if len(held) != 1:
        raise SystemExit("the key was not taken")
    # A full key costs each job behind it once, when it is parked: that is told, and not measured here.
    began = time.monotonic()
    while await _waiting(database):
        if await queue.claim(session_id, 1):
            raise SystemExit("a full key was passed")
    print(f"  parked behind the key in {time.monotonic() - began:.1f} s")
    await database.close()


async def _waiting(database: Database) -> int:
    rows = await database.at_once("SELECT count(*) FROM etl.job_queue WHERE state = 'queued'", {})
    return int(rows[0].count)


FILLINGS: dict[str, Callable[[str, int], Awaitable[None]]] = {
    "{rows:,} waiting": backlog,
    "{rows:,} in history": history,
    "a tenth of {rows:,} behind one full key": crowd,
}


async def _made(url: str, *, ended: bool) -> None:
    database, chance = Database(url, pool_size=2), SystemChance()
    queue, session_id = PostgresJobQueue(database, chance), chance.new_id()
    us = Worker(id=session_id, host="maker", pid=1, version="0", slots=1)
    await PostgresWorkerRegistry(database).join(us, LeaseTerms(seconds=3600))
    await queue.submit([noop()])
    if ended:
        jobs = await queue.claim(session_id, 1)
        await queue.report([Report(job_id=job.id, fence=job.fence, ending=DONE) for job in jobs])
    await database.close()


async def _multiply(url: str, rows: int, tables: dict[str, str]) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        numbers = f"generate_series(1, {rows}) n"
        await connection.execute(f"CREATE TEMP TABLE ids AS SELECT {_ID} AS id FROM {numbers}")
        for table, key in tables.items():
            columns = await connection.execute(
                "SELECT string_agg(attname, ', ') FROM pg_attribute WHERE attrelid = %s::regclass "
                "AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attname <> %s",
                (f"etl.{table}", key),
            )
            (others,) = await columns.fetchone() or ("",)
            await connection.execute(
                f"INSERT INTO etl.{table} ({key}, {others}) "
                f"SELECT ids.id, {others} FROM ids, (SELECT {others} FROM etl.{table} LIMIT 1) one"
            )
        await connection.execute("VACUUM ANALYZE")

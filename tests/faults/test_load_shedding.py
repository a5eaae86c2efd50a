"""A database that is away: what needs it is refused soon, the process stays alive, all heals by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import psycopg

from tests.contract.postgres_kernel import PostgresKernel
from tests.embedded_server import Server
from tests.faults.proxy import Proxy
from tests.served_api import served_api

PATIENCE = 60.0
PROMISED = 2.0
SLACK = 3.0
"""Of a machine that does much else: what is far from the 5 and 15 s that were waited without a pulse."""


@asynccontextmanager
async def api(url: str, directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served_api(url, directory) as served:
        yield served.client


@contextmanager
def soon() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < PROMISED + SLACK


def submit(client: httpx.AsyncClient) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(client.post("/api/v1/jobs", json={"script": "load.py"}))


async def all_is_well(client: httpx.AsyncClient) -> None:
    """Within a while, and without help."""
    async with asyncio.timeout(PATIENCE):
        while (await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    assert (await submit(client)).status_code == 201
    assert (await client.get("/api/v1/jobs")).status_code == 200


async def refused_soon(client: httpx.AsyncClient) -> None:
    """Many at once, of every kind: no one waits for the others."""
    with soon():
        answers = await asyncio.gather(
            *(submit(client) for _ in range(20)),
            *(client.get("/api/v1/jobs") for _ in range(20)),
            client.get("/api/v1/queues"),
            client.get("/api/v1/keys"),
        )
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable"), answer.text
        assert int(answer.headers["retry-after"]) > 0
    live = await client.get("/health/live")
    assert live.status_code == 200
    ready = await client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] != "ok"


async def test_a_database_that_was_stopped_is_told_of_at_once_and_its_return_is_noticed(
    server: Server, tmp_path: Path
) -> None:
    async with api(server.url, tmp_path) as client:
        await all_is_well(client)
        for _ in range(2):
            server.kill()
            await refused_soon(client)
            server.start()
            await all_is_well(client)


async def test_a_database_that_swallows_everything_is_told_of_within_two_seconds(
    proxy: Proxy, tmp_path: Path
) -> None:
    async with api(proxy.url, tmp_path) as client:
        await all_is_well(client)
        for _ in range(2):
            proxy.swallow()
            await refused_soon(client)
            with soon():
                assert (await submit(client)).status_code == 503
            proxy.pass_on()
            await all_is_well(client)


async def test_what_waits_already_when_the_database_falls_silent_is_refused_too(
    proxy: Proxy, tmp_path: Path
) -> None:
    async with api(proxy.url, tmp_path) as client:
        await all_is_well(client)
        proxy.latency = 0.3
        waiting = [submit(client) for _ in range(5)]
        await asyncio.wait(waiting, timeout=0.1)
        proxy.swallow()
        with soon():
            answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} == {503}
        proxy.latency = 0.0
        proxy.pass_on()
        await all_is_well(client)


async def test_a_slow_statement_of_a_live_server_is_waited_for(database_url: str, tmp_path: Path) -> None:
    """A table that somebody has locked for longer than the doubt lasts."""
    async with api(database_url, tmp_path) as client:
        await all_is_well(client)
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            await other.execute("LOCK TABLE etl.job IN ACCESS EXCLUSIVE MODE")
            waiting = submit(client)
            await asyncio.wait([waiting], timeout=3.0)
            assert not waiting.done()
            await other.rollback()
        assert (await waiting).status_code == 201


async def test_work_that_nobody_waits_for_keeps_its_patience(hurt: PostgresKernel, proxy: Proxy) -> None:
    """A worker's claim outlasts a stall that would refuse a request."""
    proxy.swallow()
    asking = asyncio.create_task(hurt.queue.queues())
    await asyncio.wait([asking], timeout=3.0)
    assert not asking.done()
    proxy.pass_on()
    assert await asking == []

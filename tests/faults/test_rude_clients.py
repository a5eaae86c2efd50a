"""Clients that send too much, and clients that go in the middle."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.waiting import eventually
from tests.served_api import ServedApi, served_api

JOBS = "/api/v1/jobs"


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with served_api(database_url, tmp_path, http__rate_limit="off") as served:
        yield served


async def begun(site: ServedApi, request: bytes) -> asyncio.StreamWriter:
    """A connection that has sent so much, and no more."""
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    key = site.client.headers["authorization"].encode()
    head, _, rest = request.partition(b"\r\n")
    writer.write(head + b"\r\nHost: x\r\nAuthorization: " + key + b"\r\n" + rest)
    await writer.drain()
    return writer


def requests_under_way() -> int:
    """uvicorn gives each a task of its own."""
    return sum("RequestResponseCycle" in repr(task.get_coro()) for task in asyncio.all_tasks())


def is_quiet(site: ServedApi) -> bool:
    pools = site.container.database().pools()
    return requests_under_way() == 0 and all(pool.in_use == 0 for pool in pools)


async def test_f60_too_much_is_refused_and_nothing_of_it_is_kept(site: ServedApi) -> None:
    """F60: a payload of 2 MB, and ten thousand parameters."""
    large = await site.client.post(JOBS, json={"script": "load.py", "args": ["x" * 2_000_000]})
    assert (large.status_code, large.json()["code"]) == (413, "body-too-large")
    many = {f"p{n}": n for n in range(10_000)}
    wide = await site.client.post(JOBS, json={"script": "load.py", "parameters": many})
    assert (wide.status_code, wide.json()["code"]) == (400, "schema-broken")
    assert (await site.client.get(JOBS)).json()["items"] == []


async def test_f61_a_client_that_goes_in_the_middle_of_its_request_leaves_no_job(site: ServedApi) -> None:
    """F61: in the head, before the body, within it, and one byte before its end."""
    body = b'{"script": "load.py"}'
    head = b"POST /api/v1/jobs HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n"
    for sent in (head[:40], head, head + body[:5], head + body[:-1]):
        writer = await begun(site, sent)
        writer.transport.abort()
    await eventually(lambda: is_quiet(site))
    assert (await site.client.get(JOBS)).json()["items"] == []


async def test_f61_clients_that_leave_their_streams_leave_nothing_behind(site: ServedApi) -> None:
    """F61, twenty at once, again and again: more would be refused if one were still counted."""
    job = (await site.client.post(JOBS, json={"script": "load.py"})).json()
    for _ in range(3):
        stream = f"GET {JOBS}/{job['id']}/log/stream HTTP/1.1\r\n\r\n".encode()
        writers = [await begun(site, stream) for _ in range(20)]
        await eventually(lambda: requests_under_way() == 20)
        for writer in writers:
            writer.transport.abort()
        await eventually(lambda: is_quiet(site))
    assert (await site.client.get(f"{JOBS}/{job['id']}")).json()["state"] == "queued"

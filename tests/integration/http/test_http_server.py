"""On the real server: what a transport in memory cannot show."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from entrypoints.http.server import STOP_SECONDS, HttpServer, serve
from tests.integration.http.api import PATIENCE, Api, until
from tests.integration.http.live import Live, until_followed
from tests.wakes import wakes_a_second

# -- stopping --------------------------------------------------------------------------------------


async def test_stopping_ends_streams_and_long_polls_in_order(live: Live) -> None:
    job = await live.job()
    stream = asyncio.create_task(live.events(job).all())
    poll = asyncio.create_task(live.client.get(f"/api/v1/jobs/{job.id}", params={"wait": "60"}))
    await until_followed(live.api, 2)
    async with asyncio.timeout(PATIENCE):
        await live.server.stop()
        events = await stream  # a stream that was cut would raise: its last chunk would be missing
        assert (await poll).json()["state"] == "running"
    assert [event["event"] for event in events if "event" in event] == ["state", "reconnect"]
    assert int(events[-1]["retry"]) > 0
    assert "id" not in events[-1]
    await live.server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", live.port)


async def test_a_server_that_stops_answers_what_comes_on_an_open_connection_and_closes_it(live: Live) -> None:
    """A request that was under way when the connection was closed would leave its client in doubt."""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with asyncio.timeout(PATIENCE):
        writer.write(request)
        assert b"connection: close" not in await reader.readuntil(b'"checks":{}}')
        stopping = asyncio.create_task(live.server.stop())
        await until(lambda: refuses(live.port))
        writer.write(request)
        answer = await reader.read()
        await stopping
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    writer.close()


@pytest.mark.parametrize("turns", range(4))
async def test_who_connects_in_the_moment_of_a_stop_is_answered(live: Live, turns: int) -> None:
    """Accepted, or waiting to be, when the listeners close."""
    connection = socket.create_connection(("127.0.0.1", live.port))
    connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping = asyncio.create_task(live.server.stop())
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(sock=connection)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        await stopping
    writer.close()


def refuses(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) != 0


async def test_a_connection_that_rests_does_not_hold_a_stop_for_long(live: Live) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    async with asyncio.timeout(STOP_SECONDS):
        await live.server.stop()
        assert await reader.read() == b""
    writer.close()


async def test_serve_tells_its_port_and_stops_when_cancelled(api: Api) -> None:
    ports: asyncio.Queue[int] = asyncio.Queue()
    serving = asyncio.create_task(serve(api.app(), "127.0.0.1", 0, ports.put_nowait))
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient() as client:
        port = await ports.get()
        assert (await client.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/health/live")


async def test_an_address_that_is_taken_is_an_error_and_not_the_end_of_the_process(api: Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match=r"[Aa]ddress"):
        await HttpServer(api.app(), "127.0.0.1", taken.getsockname()[1]).start()


# -- rude clients ----------------------------------------------------------------------------------


async def sent(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()


HEAD = b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def test_a_head_that_never_ends_is_cut(live: Live) -> None:
    for head in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"):
        assert await sent(live.port, head) == b""


async def test_a_head_that_is_too_large_is_400(live: Live) -> None:
    assert b" 400 " in (await sent(live.port, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)).splitlines()[0]


async def test_a_body_that_never_comes_is_408(live: Live) -> None:
    key = live.client.headers["authorization"].encode()
    data = HEAD + b"Authorization: %b\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{" % key
    answer = await sent(live.port, data)
    assert b" 408 " in answer.splitlines()[0]
    assert b"body-too-slow" in answer


async def test_a_chunked_body_without_an_end_is_413(live: Live) -> None:
    key = live.client.headers["authorization"].encode()
    chunks = b"186a1\r\n" + b"x" * 100_001 + b"\r\n"
    data = HEAD + b"Authorization: %b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n%b" % (
        key,
        chunks,
    )
    assert b" 413 " in (await sent(live.port, data)).splitlines()[0]


async def test_a_server_says_nothing_of_what_it_is(live: Live) -> None:
    assert "server" not in (await live.client.get("/health/live")).headers


def test_an_idle_server_wakes_about_once_a_second() -> None:
    """Twenty times as uvicorn has it: each of its ten ticks a second wakes a loop twice."""

    async def nothing(*_: object) -> None: ...

    @asynccontextmanager
    async def listening() -> AsyncIterator[None]:
        server = HttpServer(nothing, "127.0.0.1", 0)
        await server.start()
        yield
        await server.stop()

    assert 0 < wakes_a_second(listening) < 6


async def test_the_date_of_answers_goes_on(live: Live) -> None:
    async def date() -> str:
        return (await live.client.get("/health/live")).headers["date"]

    first = await date()
    async with asyncio.timeout(PATIENCE):
        while await date() == first:
            pass

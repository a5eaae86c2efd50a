"""On the real server: what a transport in memory cannot show."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from domain.access import Scope
from domain.job import Job
from entrypoints.http import auth, log_stream
from entrypoints.http.app import HttpConfig
from entrypoints.http.server import STOP_SECONDS, HttpServer, serve
from tests.builders import failed
from tests.integration.http.api import PATIENCE, Api, until
from tests.wakes import wakes_a_second

LIMITS: Final = frozenset({"ratelimit", "ratelimit-policy"})
"""Off here."""


@dataclass
class Live:
    api: Api
    server: HttpServer
    port: int
    client: httpx.AsyncClient

    async def job(self, **request: object) -> Job:
        made = await self.client.post("/api/v1/jobs", json={"script": "load.py", **request})
        return await self.api.start(made.json()["id"])

    def events(self, job: Job, **headers: str) -> "Events":
        return Events(self.client, f"/api/v1/jobs/{job.id}/log/stream", headers)


@pytest_asyncio.fixture
async def live(api: Api) -> AsyncIterator[Live]:
    server = HttpServer(
        api.app(HttpConfig(max_body=100_000, body_seconds=0.5)), "127.0.0.1", 0, head_seconds=0.5
    )
    port = await server.start()
    headers = {"Authorization": f"Bearer {await api.key(Scope.ADMIN)}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=PATIENCE
    ) as client:
        yield Live(api, server, port, client)
    await server.stop()


@dataclass
class Events:
    """Server-sent events, read as a browser reads them."""

    client: httpx.AsyncClient
    url: str
    headers: dict[str, str]

    async def __aiter__(self) -> AsyncIterator[dict[str, str]]:
        async with self.client.stream("GET", self.url, headers=self.headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            event: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    event[name or "comment"] = value
                elif event:
                    yield event
                    event = {}

    async def all(self) -> list[dict[str, str]]:
        async with asyncio.timeout(PATIENCE):
            return [event async for event in self]


def texts(events: list[dict[str, str]]) -> list[str]:
    return [json.loads(event["data"])["text"] for event in events if event.get("event") == "line"]


async def until_followed(api: Api, readers: int = 1) -> None:
    await until(lambda: len(api.records.inboxes) == readers)


# -- live logs -------------------------------------------------------------------------------------


async def test_a_stream_begins_with_a_comment_and_tells_lines_states_and_the_end(live: Live) -> None:
    job = await live.job()
    await live.api.write(job, b"one\n")
    events = []
    async with asyncio.timeout(PATIENCE):
        async for event in live.events(job):
            events.append(event)
            if texts([event]) == ["one"]:
                await live.api.write(job, b"two\nthree")
                await live.api.end(job)
    assert "comment" in events[0]
    told = [event for event in events if "event" in event]
    kinds = [event["event"] for event in told]
    assert sorted(kinds) == ["end", "line", "line", "line", "state", "state"]
    assert (kinds[0], kinds[-1]) == ("state", "end")
    assert texts(told) == ["one", "two", "three"]
    assert [json.loads(e["data"])["state"] for e in told if e["event"] == "state"] == ["running", "succeeded"]
    assert json.loads(told[-1]["data"])["outcome"] == "succeeded"
    lines = [event for event in told if event["event"] == "line"]
    assert all(event["id"] == json.loads(event["data"])["cursor"] for event in lines)


async def test_a_reader_that_resumes_anywhere_misses_nothing_and_sees_nothing_twice(live: Live) -> None:
    job = await live.job(retry={"max_attempts": 2, "delay_seconds": 0, "jitter": 0})
    await live.api.write(job, b"".join(b"first %d\n" % n for n in range(20)))
    await live.api.end(job, failed())
    again = await live.api.start(job.id)
    await live.api.write(again, b"".join(b"second %d\n" % n for n in range(20)))
    await live.api.end(again)
    whole = [event for event in await live.events(job).all() if event.get("event") == "line"]
    assert len(whole) == 40
    for cut in (0, 7, 19, 20, 33, 39):
        rest = await live.events(job, **{"Last-Event-ID": whole[cut]["id"]}).all()
        assert texts(rest) == texts(whole[cut + 1 :]), cut
    url = f"/api/v1/jobs/{job.id}/log/stream?after={whole[7]['id']}"
    assert texts(await Events(live.client, url, {}).all()) == texts(whole[8:])
    assert texts(await live.events(again, **{"Last-Event-ID": whole[-1]["id"]}).all()) == []


async def test_a_live_log_says_that_it_lies_on_another_machine_and_goes_on_to_the_end(live: Live) -> None:
    job = await live.job()
    live.api.logs.elsewhere.add(live.api.worker.host)
    ending = failed()
    await live.api.end(job, replace(ending, exit=replace(ending.exit, log_bytes=5)))
    told = [event for event in await live.events(job).all() if "event" in event]
    assert [event["event"] for event in told] == ["state", "gone", "end"]
    gone = json.loads(told[1]["data"])
    assert (gone["code"], live.api.worker.host in gone["detail"]) == ("log-elsewhere", True)


async def test_one_stream_may_be_followed_alone(live: Live) -> None:
    job = await live.job()
    await live.api.write(job, b"out\n")
    await live.api.end(job)
    url = f"/api/v1/jobs/{job.id}/log/stream"
    assert texts(await Events(live.client, f"{url}?stream=stderr", {}).all()) == []
    assert texts(await Events(live.client, f"{url}?stream=stdout", {}).all()) == ["out"]


async def test_what_is_wrong_is_told_by_a_status_before_the_stream_begins(live: Live) -> None:
    job = await live.job()
    url = f"/api/v1/jobs/{job.id}/log/stream"
    assert (await live.client.get(url, params={"after": "nonsense"})).status_code == 422
    assert (await live.client.get(url, headers={"Last-Event-ID": "x"})).status_code == 422
    await live.api.write(job, b"one\n")
    assert (await live.client.get(url, headers={"Last-Event-ID": "1.nonsense"})).status_code == 422
    assert (await live.client.get(url, params={"tail": "1"})).status_code == 400


async def test_the_stream_keeps_to_the_document(live: Live) -> None:
    """Which tests/e2e/schemathesis.toml leaves out, for the stream of a job that waits does not end."""
    document = (await live.client.get("/api/openapi.json")).json()
    told = document["paths"]["/api/v1/jobs/{job_id}/log/stream"]["get"]
    job = await live.job()
    await live.api.write(job, b"one\n")
    await live.api.end(job)
    url, no_job = (f"/api/v1/jobs/{id_}/log/stream" for id_ in (job.id, UUID(int=0)))
    parameters = {"after": "nonsense", "stream": "nonsense", "unknown": "1"}
    seen = [
        await live.client.get(url),
        await live.client.get(no_job),
        *[await live.client.get(url, params={name: value}) for name, value in parameters.items()],
        await live.client.get(url, headers={"Last-Event-ID": "nonsense"}),
        await live.client.get(url, headers={"X-API-Key": "etl_x"}),
        await live.client.get(url, headers={"Authorization": "Bearer etl_x"}),
        await live.client.get(url, headers={"X-A": "x" * 33_000}),
    ]
    assert [answer.status_code for answer in seen] == [200, 404, 422, 400, 400, 422, 400, 401, 431]
    for answer in seen:
        response = told["responses"][str(answer.status_code)]
        (media,) = response["content"]
        assert answer.headers["content-type"].partition(";")[0] == media
        assert set(map(str.lower, response["headers"])) - LIMITS <= set(answer.headers)
    events = {line.removeprefix("event: ") for line in seen[0].text.splitlines() if line[:6] == "event:"}
    described = told["responses"]["200"]["description"]
    assert events == {"line", "state", "end"} <= set(re.findall(r"`(\w+)`", described))
    named = {(p["name"], p["in"]) for p in told["parameters"]}
    assert named == {("job_id", "path"), ("after", "query"), ("stream", "query"), ("Last-Event-ID", "header")}
    assert told["security"] == [{"bearer": ["logs:read"]}, {"apiKey": ["logs:read"]}]


async def test_a_silent_log_is_kept_alive(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "HEARTBEAT_SECONDS", 0.02)
    comments = 0
    async with asyncio.timeout(PATIENCE):
        async for event in live.events(await live.job()):
            comments += "comment" in event
            if comments == 5:
                break
    assert comments == 5


async def test_a_reader_that_goes_leaves_nothing_behind(live: Live) -> None:
    job = await live.job()
    async for event in live.events(job):
        if event.get("event") == "state":
            break
    await until_followed(live.api)
    await live.client.aclose()
    await until_followed(live.api, 0)


# -- whom a stream is for ---------------------------------------------------------------------------


async def test_a_stream_ends_within_ten_seconds_of_its_keys_revocation(live: Live) -> None:
    job = await live.job()
    issued = await live.client.post("/api/v1/keys", json={"name": "reader", "scopes": ["logs:read"]})
    reader = {"Authorization": f"Bearer {issued.json()['secret']}"}
    reading = asyncio.create_task(live.events(job, **reader).all())
    staying = asyncio.create_task(live.events(job).all())
    await until_followed(live.api, 2)
    assert (await live.client.delete(f"/api/v1/keys/{issued.json()['id']}")).status_code == 204
    async with asyncio.timeout(10):
        events = await reading
    assert [event["event"] for event in events if "event" in event] == ["state"]
    again = await live.client.get(f"/api/v1/jobs/{job.id}/log/stream", headers=reader)
    assert again.status_code == 401
    assert not staying.done()
    await live.api.end(job)
    assert [event["event"] for event in await staying if "event" in event][-1] == "end"


async def test_a_stream_ends_when_its_token_expires_and_not_because_nobody_can_tell(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "RECHECK_SECONDS", 0.02)
    job = await live.job()
    token = live.api.token(Scope.LOGS_READ)
    reading = asyncio.create_task(live.events(job, Authorization=f"Bearer {token}").all())
    await until_followed(live.api)
    live.api.tokens.away = True
    await asyncio.wait([reading], timeout=0.2)
    assert not reading.done()
    live.api.tokens.away = False
    live.api.tokens.issued[token] = replace(live.api.tokens.issued[token], expires_at=datetime.now(UTC))
    async with asyncio.timeout(PATIENCE):
        await reading
    await until_followed(live.api, 0)


async def test_a_caller_follows_at_most_twenty_logs_and_a_closed_one_makes_room(live: Live) -> None:
    job = await live.job()
    key = {"Authorization": f"Bearer {await live.api.key(Scope.LOGS_READ)}"}
    url = f"/api/v1/jobs/{job.id}/log/stream"
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=live.client.base_url, limits=limits, timeout=PATIENCE) as client:
        async with AsyncExitStack() as stack:
            for _ in range(20):
                answer = await stack.enter_async_context(client.stream("GET", url, headers=key))
                assert answer.status_code == 200
            refused = await client.get(url, headers=key)
            assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
            assert int(refused.headers["retry-after"]) > 0
            await until_followed(live.api, 20)
            other = await stack.enter_async_context(live.client.stream("GET", url))
            assert other.status_code == 200
        await until_followed(live.api, 0)
        async with client.stream("GET", url, headers=key) as answer:
            assert answer.status_code == 200


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

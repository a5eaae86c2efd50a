"""Live logs on the real server: what they tell, whom they are for, and when they end."""

import asyncio
import json
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import httpx
import pytest

from domain.access import Scope
from entrypoints.http import auth, log_stream
from tests.builders import failed
from tests.integration.http.api import PATIENCE
from tests.integration.http.live import Events, Live, texts, until_followed

LIMITS: Final = frozenset({"ratelimit", "ratelimit-policy"})
"""Off here."""


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

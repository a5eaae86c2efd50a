"""Attacks that take more than one request, or a look at what is left behind."""

import asyncio
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.dev import ConsoleRenderer
from structlog.processors import JSONRenderer
from structlog.testing import capture_logs

from domain.access import Scope, digest_of
from tests.builders import a_key
from tests.integration.http.api import Api
from tests.issuer import token
from tests.served_api import ServedApi, served_api

JOBS, KEYS = "/api/v1/jobs", "/api/v1/keys"
PATIENCE = 60.0
SOME_ID = "019a0000-0000-7000-8000-000000000000"
BODY = {"script": "load.py"}
OPEN = {
    "/health/live",
    "/health/ready",
    "/problems/{code}",
    "/api/openapi.json",
    "/api/docs",
    "/api/versioning",
    "/api/docs/{asset}",
    "/metrics",  # on the loopback
}


# -- replays -------------------------------------------------------------------------------------------


async def test_of_50_that_race_with_one_idempotency_key_one_job_is_made(site: ServedApi) -> None:
    headers = {"Idempotency-Key": "race-1"}
    answers = await asyncio.gather(*(site.client.post(JOBS, json=BODY, headers=headers) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Counter(a.headers.get("idempotency-replayed") for a in answers) == {"true": 49, None: 1}


async def test_of_50_different_bodies_with_one_idempotency_key_one_wins(site: ServedApi) -> None:
    headers = {"Idempotency-Key": "race-2"}
    answers = await asyncio.gather(
        *(site.client.post(JOBS, json={**BODY, "args": [str(n)]}, headers=headers) for n in range(50))
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 422: 49}
    codes = {answer.json()["code"] for answer in answers if answer.status_code == 422}
    assert codes == {"idempotency-key-reused"}


async def test_an_idempotency_key_of_another_caller_is_not_heard_of(site: ServedApi) -> None:
    headers = {"Idempotency-Key": "mine"}
    mine = await site.client.post(JOBS, json={**BODY, "labels": {"a": "secret"}}, headers=headers)
    thief = {**headers, **await site.key(Scope.JOBS_SUBMIT, name="admin")}
    theirs = await site.client.post(JOBS, json=BODY, headers=thief)
    assert theirs.status_code == 201
    assert theirs.json()["id"] != mine.json()["id"]
    assert "idempotency-replayed" not in theirs.headers


# -- revocation ----------------------------------------------------------------------------------------


async def test_a_key_revoked_at_one_api_opens_nothing_at_another_and_its_streams_end(
    site: ServedApi, site_url: str, tmp_path: Path
) -> None:
    job = (await site.client.post(JOBS, json=BODY)).json()
    made = (await site.client.post(KEYS, json={"name": "reader", "scopes": ["logs:read"]})).json()
    key = {"Authorization": f"Bearer {made['secret']}"}
    stream = f"{JOBS}/{job['id']}/log/stream"
    async with (
        served_api(site_url, tmp_path) as other,
        other.stranger() as reader,
        reader.stream("GET", stream, headers=key) as following,
    ):
        assert following.status_code == 200
        assert (await site.client.delete(f"{KEYS}/{made['id']}")).status_code == 204
        for api in (site, other):
            assert (await api.client.get(stream, headers=key)).status_code == 401
        async with asyncio.timeout(10):
            told = [line async for line in following.aiter_lines() if line.startswith("event:")]
    assert told == ["event: state"]


async def test_a_key_revoked_at_one_api_submits_nothing_at_another_that_has_just_seen_it(
    site: ServedApi, site_url: str, tmp_path: Path
) -> None:
    async with served_api(site_url, tmp_path) as other:
        for wrong in (BODY, {"script": "../etc/passwd"}, {"command": ["true"]}, {"jobs": 7}):
            made = (await site.client.post(KEYS, json={"name": "ci", "scopes": ["jobs:submit"]})).json()
            key = {"Authorization": f"Bearer {made['secret']}"}
            for path, body in ((JOBS, BODY), (f"{JOBS}/batch", {"jobs": [BODY]})):
                assert (await other.client.post(path, json=body, headers=key)).status_code == 201
            before = (await site.client.get(JOBS)).json()["items"][0]["id"]
            assert (await site.client.delete(f"{KEYS}/{made['id']}")).status_code == 204
            refused = await other.client.post(JOBS, json=wrong, headers=key)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
            assert (await site.client.get(JOBS)).json()["items"][0]["id"] == before


async def test_a_key_opens_nothing_through_what_it_issued_once_it_has_ended(site: ServedApi) -> None:
    wanted = {"name": "temp", "scopes": ["admin"], "expires_at": "2099-01-01T00:00:00Z"}
    temp = (await site.client.post(KEYS, json=wanted)).json()
    for later in (None, "2099-01-01T00:00:01Z", "2099-01-01T00:00:00-01:00"):
        key = {"Authorization": f"Bearer {temp['secret']}"}
        answer = await site.client.post(KEYS, json={**wanted, "expires_at": later}, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


# -- deny by default -----------------------------------------------------------------------------------


async def test_every_route_of_the_document_is_closed_to_nobody_and_to_a_caller_without_scopes(
    site: ServedApi,
) -> None:
    document = (await site.client.get("/api/openapi.json")).json()
    without = {"Authorization": f"Bearer {token('HS256', scope='openid profile')}"}
    closed = 0
    async with site.stranger() as client:
        for path, methods in document["paths"].items():
            url = "/".join(SOME_ID if step.startswith("{") else step for step in path.split("/"))
            for method in methods.keys() - {"parameters"}:
                nobody = await client.request(method, url)
                nothing = await client.request(method, url, headers=without)
                if path in OPEN:
                    assert nobody.status_code not in {401, 403}, (method, path)
                else:
                    assert (nobody.status_code, nothing.status_code) == (401, 403), (method, path)
                    closed += 1
    assert closed >= 19


async def test_no_other_api_lies_beside_the_document(site: ServedApi) -> None:
    async with site.stranger() as client:
        for path in (
            "/schema",
            "/docs",
            "/openapi.json",
            "/debug",
            "/admin",
            "/.env",
            "/.git/config",
            "/console",
        ):
            assert (await client.get(path)).status_code == 404


async def test_without_auth_a_page_that_rebinds_its_name_is_refused(api: Api) -> None:
    from entrypoints.http.config import HttpConfig  # noqa: PLC0415 - here alone

    client = await api.client(config=HttpConfig(auth=False))
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"):
        answer = await client.post(JOBS, json=BODY, headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "host-not-allowed")


# -- injection -----------------------------------------------------------------------------------------


async def raw(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("two hosts", b"Host: a\r\nHost: b"),
        ("no host", b"Accept: */*"),
        ("two lengths", b"Host: a\r\nContent-Length: 1\r\nContent-Length: 2"),
        ("length in words", b"Host: a\r\nContent-Length: 1x"),
        ("negative length", b"Host: a\r\nContent-Length: -1"),
        ("unknown transfer encoding", b"Host: a\r\nTransfer-Encoding: xchunked"),
        ("blank before the colon", b"Host: a\r\nX-A : b"),
        ("NUL in a value", b"Host: a\r\nX-A: b\x00c"),
        ("bare carriage return", b"Host: a\r\nX-A: b\rSet-Cookie: c"),
        ("no name", b"Host: a\r\n: b"),
        ("huge header", b"Host: a\r\nX-A: " + b"x" * 100_000),
        ("ten thousand headers", b"Host: a\r\n" + b"\r\n".join(b"X-%d: y" % n for n in range(10_000))),
    ],
)
async def test_a_malformed_head_is_a_clear_4xx(site: ServedApi, name: str, lines: bytes) -> None:
    answer = await raw(site.port, b"GET /health/live HTTP/1.1\r\nConnection: close\r\n" + lines + b"\r\n\r\n")
    status = answer.split(b" ", 2)[1]
    assert status.startswith(b"4") or status == b"501", (name, answer[:200])
    assert b"set-cookie" not in answer.lower()


async def test_a_body_that_says_that_it_is_too_large_is_refused_before_it_is_sent(site: ServedApi) -> None:
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
    answer = await raw(site.port, head + b"Content-Length: 1048577\r\n\r\n")
    assert b" 413 " in answer.splitlines()[0]


async def test_nothing_that_a_caller_sends_becomes_a_header(site: ServedApi) -> None:
    for wrong in ("a b", "a;b", "<x>", "x" * 65):
        answer = await site.client.get(JOBS, headers={"X-Request-Id": wrong})
        assert answer.headers["x-request-id"] != wrong
    split = await raw(
        site.port, b"GET /a%0d%0aSet-Cookie:%20x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    assert b" 404 " in split.splitlines()[0]
    assert b"\r\nset-cookie" not in split.lower()


@pytest.fixture
def server_log() -> Iterator[list[str]]:
    """Lines of the server's log in both forms, as they are written once a test asks for them."""
    lines: list[str] = []
    with capture_logs() as entries:

        class Lines(list[str]):
            def __iter__(self) -> Iterator[str]:
                for entry in entries:
                    for render in (JSONRenderer(), ConsoleRenderer(colors=False)):
                        yield str(render(None, "info", dict(entry)))

        lines = Lines()
        yield lines


async def test_a_line_break_in_an_address_makes_no_second_line_in_the_log(
    site: ServedApi, server_log: list[str]
) -> None:
    evil = b'/x%0a{"event":"forged"}%0d%1b[2J'.replace(b'"', b"%22")
    await raw(site.port, b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % evil)
    assert any("request_answered" in line for line in server_log)
    assert not any("\n" in line or "\r" in line or "\x1b" in line for line in server_log)


async def test_no_secret_of_any_kind_stands_in_the_log(site: ServedApi, server_log: list[str]) -> None:
    made = (await site.client.post(KEYS, json={"name": "new", "scopes": ["jobs:read"]})).json()
    good, forged = token("HS256"), token("HS256", exp=1)
    secrets = {made["secret"], good, forged, "etl_wrong-key", "hunter2"}
    for each in (made["secret"], good, forged, "etl_wrong-key"):
        await site.client.get(JOBS, headers={"Authorization": f"Bearer {each}"})
    await site.client.get(f"{JOBS}?token={good}")
    await site.client.post(JOBS, json={**BODY, "environment": {"DB_PASSWORD": "hunter2"}})
    assert any('"principal": "new"' in line and made["id"] in line for line in server_log)
    assert [line for line in server_log if any(secret in line for secret in secrets)] == []


# -- what a script writes -------------------------------------------------------------------------------


@pytest.fixture
def api() -> Api:
    return Api()


HTML = b"<script>alert(document.domain)</script>\r\n\r\nevent: end\r\ndata: {}\r\n\r\nid: 9\n\x1b]0;x\x07\n"


async def test_html_in_a_log_is_text_whatever_a_browser_thinks(api: Api) -> None:
    client = await api.client(Scope.ADMIN)
    job = await api.start((await client.post(JOBS, json=BODY)).json()["id"])
    await api.write(job, HTML)
    await api.end(job)
    for accept in ("*/*", "text/html", "application/x-ndjson"):
        answer = await client.get(f"{JOBS}/{job.id}/log", headers={"Accept": accept})
        if answer.status_code == 200:
            assert answer.headers["content-type"].partition(";")[0] in {"text/plain", "application/x-ndjson"}
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert (await client.get(f"{JOBS}/{job.id}/log")).content == HTML


async def test_a_line_of_a_log_cannot_pose_as_an_event_of_the_stream(api: Api) -> None:
    client = await api.client(Scope.ADMIN)
    job = await api.start((await client.post(JOBS, json=BODY)).json()["id"])
    await api.write(job, HTML)
    await api.end(job)
    transport = httpx.ASGITransport(api.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as plain:
        answer = await plain.get(f"{JOBS}/{job.id}/log/stream", headers=client.headers)
    kinds = Counter(line for line in answer.text.splitlines() if line.startswith("event:"))
    assert kinds == {"event: state": 1, "event: line": HTML.count(b"\n"), "event: end": 1}
    data = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert data[-1]["state"] == "succeeded"


# -- time ------------------------------------------------------------------------------------------------


async def test_the_store_never_sees_a_secret_and_digests_are_compared_in_constant_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long a search takes depends on a digest, which nobody can choose."""
    compared: list[tuple[bytes, bytes]] = []
    asked: list[bytes] = []
    compare, find = hmac.compare_digest, api.access.find

    def comparing(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return compare(a, b)

    async def finding(digest: bytes) -> Any:
        asked.append(digest)
        return await find(digest)

    monkeypatch.setattr("domain.access.hmac.compare_digest", comparing)
    monkeypatch.setattr(api.access, "find", finding)
    await api.access.add(a_key("etl_right"))
    client = await api.client()
    for secret, status in (("etl_right", 200), ("etl_wrong", 401)):
        assert (await client.get(JOBS, headers={"X-API-Key": secret})).status_code == status
    assert asked == [digest_of("etl_right"), digest_of("etl_wrong")]
    assert compared == [(asked[0], asked[0])]

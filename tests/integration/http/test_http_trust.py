"""Who was known a moment ago is let in without a look-up. Whatever becomes of the request of one whose key
has ended since, they hear that alone.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from adapters.memory.access_store import MemoryAccessStore
from adapters.memory.script_catalog import MemoryScriptCatalog
from adapters.system.clock import SystemClock
from domain.access import ApiKey, digest_of
from domain.errors import DatabaseUnavailable
from domain.rate import Rate
from entrypoints.http.app import HttpConfig
from tests.builders import NOON, a_key
from tests.integration.http.api import Api

JOBS = "/api/v1/jobs"
JSON = {"Content-Type": "application/json"}
SECRET = "etl_abcdefgh0123456789"  # noqa: S105 - a test's own secret
KNOWN = {"script": "load.py"}
UNKNOWN = {"script": "unknown.py"}
BREAKING = {"script": "breaking.py"}


class BreakingScripts(MemoryScriptCatalog):
    """One name breaks it."""

    def argv(self, script: str) -> tuple[str, ...]:
        if script == BREAKING["script"]:
            raise RuntimeError("a fault of ours")
        return super().argv(script)


class FailingAccess(MemoryAccessStore):
    """Fails once it is told how."""

    failure: Exception | None = None

    async def find(self, digest: bytes) -> ApiKey | None:
        if self.failure is not None:
            raise self.failure
        return await super().find(digest)


class StoppedClock(SystemClock):
    """Stands until a test moves it."""

    at = NOON

    def now(self) -> datetime:
        return self.at


class Site:
    """An API, and a client that has just submitted with a key."""

    def __init__(self) -> None:
        self.api = Api()
        self.clock = self.api.clock = StoppedClock()
        self.api.callers = Rate(100, 60.0)
        self.access = self.api.access = FailingAccess(self.api.records)
        self.api.scripts = BreakingScripts("load.py")
        self.key = a_key(SECRET, expires_at=NOON + timedelta(seconds=20))

    async def open(self) -> "Site":
        await self.access.add(self.key)
        bearer = {"Authorization": f"Bearer {SECRET}"}
        self.client = await self.api.client(config=HttpConfig(max_body=1000), **bearer)
        assert (await self.client.post(JOBS, json=KNOWN)).status_code == 201
        return self

    async def revoke(self) -> None:
        await self.access.revoke(self.key.id, self.clock.now())


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = await Site().open()
    yield site
    await site.client.aclose()


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_each_way_in_which_a_request_fails_is_told_to_whom_the_key_still_opens(site: Site) -> None:
    """The same requests as below: it is the key alone that makes the difference."""
    told = [refusal(await site.client.post(JOBS, **request)) for request in failing()]
    assert told == [
        (422, "unknown-script"),
        (500, "internal-error"),
        (413, "body-too-large"),
        (400, "malformed-json"),
        (400, "wrong-parameter"),
    ]


@pytest.mark.parametrize("number", range(5))
async def test_of_a_request_that_fails_anywhere_a_revoked_key_hears_nothing(site: Site, number: int) -> None:
    await site.revoke()
    answer = await site.client.post(JOBS, **list(failing())[number])
    assert refusal(answer) == (401, "unauthenticated")


@pytest.mark.parametrize(("path", "body"), [(JOBS, KNOWN), (f"{JOBS}/batch", {"jobs": [KNOWN]})])
async def test_a_key_that_has_expired_within_the_minute_opens_nothing(
    site: Site, path: str, body: Any
) -> None:
    site.clock.at += timedelta(seconds=20)
    assert refusal(await site.client.post(path, json=body)) == (401, "unauthenticated")
    assert len(site.api.records.jobs) == 1


async def test_a_secret_that_only_begins_like_a_known_one_opens_nothing(site: Site) -> None:
    for secret in (SECRET[:-1], SECRET + "x", SECRET.upper(), digest_of(SECRET).hex()):
        answer = await site.client.post(JOBS, json=UNKNOWN, headers={"Authorization": f"Bearer {secret}"})
        assert refusal(answer) == (401, "unauthenticated")


async def test_a_second_credential_beside_a_known_one_is_refused(site: Site) -> None:
    answer = await site.client.post(JOBS, json=KNOWN, headers={"X-API-Key": "etl_other"})
    assert refusal(answer) == (400, "two-credentials")


async def test_head_and_other_methods_let_nobody_in_on_trust(site: Site) -> None:
    await site.revoke()
    site.client.event_hooks = {}  # the document leaves HEAD to the standard
    head = await site.client.head(JOBS)
    assert (head.status_code, head.content) == (401, b"")
    assert refusal(await site.client.put(JOBS, json=KNOWN)) == (405, "method-not-allowed")


async def test_where_nobody_can_tell_whether_a_key_stands_nothing_else_is_told(site: Site) -> None:
    site.access.failure = DatabaseUnavailable("The database does not answer at the moment.")
    answer = await site.client.post(JOBS, json=UNKNOWN)
    assert refusal(answer) == (503, "database-unavailable")
    assert answer.json()["errors"] == []


async def test_a_look_up_that_breaks_lets_nothing_through(site: Site) -> None:
    site.access.failure = RuntimeError("a fault of ours")
    answer = await site.client.post(JOBS, json=UNKNOWN)
    assert refusal(answer) == (500, "internal-error")
    assert answer.json()["errors"] == []


async def test_a_revoked_key_learns_nothing_of_its_quota(site: Site) -> None:
    """With no limit on failures nothing else is counted that would be told instead."""
    await site.revoke()
    assert "ratelimit" not in (await site.client.post(JOBS, json=KNOWN)).headers


async def test_a_caller_who_goes_before_the_body_is_there_is_told_nothing_but_the_end_of_the_key() -> None:
    site = Site()
    await site.access.add(site.key)
    app = site.api.app()
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        assert (await client.post(JOBS, json=KNOWN)).status_code == 201
    await site.revoke()
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope_of_a_submit(), receive, send)
    assert [message["status"] for message in sent if message["type"] == "http.response.start"] == [401]
    assert b"unauthenticated" in sent[-1]["body"]
    assert len(site.api.records.jobs) == 1


def scope_of_a_submit() -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": JOBS,
        "raw_path": JOBS.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 50_000),
        "server": ("localhost", 80),
        "headers": [
            (b"host", b"localhost"),
            (b"authorization", f"Bearer {SECRET}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", b"21"),
        ],
    }


def failing() -> list[dict[str, Any]]:
    """Requests that end in the use case, by a fault, on the way of the body, in its form and by a header."""

    async def large() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    return [
        {"json": UNKNOWN},
        {"json": BREAKING},
        {"content": large(), "headers": JSON},
        {"content": b"{", "headers": JSON},
        {"json": KNOWN, "headers": {"Idempotency-Key": "with blank"}},
    ]

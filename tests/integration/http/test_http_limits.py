"""Limits on requests: what every answer tells of them, and what happens past them."""

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from domain.access import Scope
from domain.errors import DatabaseUnavailable
from domain.rate import Rate
from entrypoints.http.addresses import Addresses
from tests.integration.http.api import Api

JOBS = "/api/v1/jobs"


def limited(api: Api, quota: int = 20) -> None:
    api.callers, api.failures = Rate(quota, 60.0), Rate(5, 60.0)


def quota(answer: httpx.Response) -> tuple[str, int, int]:
    name, left, seconds = answer.headers["ratelimit"].split(";")
    return name.strip('"'), int(left.removeprefix("r=")), int(seconds.removeprefix("t="))


async def test_every_answer_tells_the_policy_and_what_is_left(api: Api) -> None:
    limited(api)
    client = await api.client(Scope.JOBS_READ)
    for path in (JOBS, "/health/live", "/api/openapi.json", "/nothing", "/problems/invalid", f"{JOBS}/x%2f"):
        answer = await client.get(path)
        policy = answer.headers["ratelimit-policy"]
        assert policy == '"principal";q=20;w=60, "failures";q=5;w=60'
        assert quota(answer)[0] == ("principal" if path == JOBS else "failures")
    assert [quota(await client.get(JOBS))[1] for _ in range(3)] == [18, 17, 16]
    assert quota(await client.post(JOBS, json={"script": "load.py"}))[1] == 15  # 403 counts too


async def test_past_the_limit_requests_are_429_with_retry_after(api: Api) -> None:
    limited(api)
    client = await api.client(Scope.JOBS_READ)
    statuses = [(await client.get(JOBS)).status_code for _ in range(25)]
    assert statuses == [200] * 20 + [429] * 5
    refused = await client.get(JOBS)
    assert refused.json()["code"] == "rate-exceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert quota(refused)[:2] == ("principal", 0)
    other = await api.client(Scope.JOBS_READ)  # another key of the same name
    assert (await other.get(JOBS)).status_code == 200


async def test_a_token_has_one_limit_however_many_were_issued(api: Api) -> None:
    limited(api, 3)
    statuses = []
    for _ in range(5):
        client = await api.client(Authorization=f"Bearer {api.token(Scope.JOBS_READ)}")
        statuses.append((await client.get(JOBS)).status_code)
    assert statuses == [200] * 3 + [429] * 2


async def test_an_address_that_fails_too_often_is_429_and_a_valid_key_there_is_let_in(api: Api) -> None:
    limited(api)
    client = await api.client()
    wrong: list[dict[str, str]] = [
        {"X-API-Key": "etl_wrong"},
        {"Authorization": "Basic x"},
        {"Authorization": "Bearer a.b.c"},
        {},
        {"X-API-Key": "etl_other"},
    ]
    assert [(await client.get(JOBS, headers=each)).status_code for each in wrong] == [401] * 5
    refused = await client.get(JOBS, headers=wrong[0])
    assert (refused.status_code, refused.json()["code"]) == (429, "rate-exceeded")
    assert int(refused.headers["retry-after"]) >= 1
    assert quota(refused)[:2] == ("failures", 0)
    assert (await (await api.client(Scope.JOBS_READ)).get(JOBS)).status_code == 200


async def test_switched_off_nothing_is_counted_and_nothing_told(api: Api) -> None:
    client = await api.client(Scope.JOBS_READ)
    answer = await client.get(JOBS)
    assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)
    assert api.rates.full_at == {}


class Away:
    """A store that cannot be asked."""

    full_at: Any = None

    async def take(self, *_: object) -> Any:
        raise DatabaseUnavailable("away")

    async def forget(self) -> int:
        return 0


async def test_a_limit_that_cannot_be_counted_opens_for_callers_and_closes_for_failures(api: Api) -> None:
    limited(api)
    away: Any = Away()
    api.rates = away
    client = await api.client(Scope.JOBS_READ, Scope.JOBS_SUBMIT)
    app = client._transport
    with capture_logs() as logs:
        for _ in range(10):
            assert (await client.get(JOBS)).status_code == 200
        assert (await client.post(JOBS, json={"script": "load.py"})).status_code == 201
        async with httpx.AsyncClient(transport=app, base_url="http://localhost") as stranger:
            for _ in range(10):
                answer = await stranger.get(JOBS, headers={"X-API-Key": "etl_wrong"})
                assert (answer.status_code, answer.json()["code"]) == (503, "failures-not-counted")
                assert int(answer.headers["retry-after"]) > 0
    assert [line["event"] for line in logs].count("rate_limit_unavailable") == 1


# -- whose address it is ------------------------------------------------------------------------------


def client_of(peer: str, told: list[str], *trusted: str, site: bool = False) -> str:
    headers = [(b"x-forwarded-for", each.encode()) for each in told]
    scope: Any = {"type": "http", "client": (peer, 1), "headers": headers}
    addresses = Addresses.behind(trusted)
    return addresses.site(scope) if site else addresses.client(scope)


@pytest.mark.parametrize(
    ("peer", "told", "trusted", "client"),
    [
        ("192.0.2.1", ["198.51.100.7"], [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], ["10.0.0.0/8"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7"], ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7, 10.0.0.2"], ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", [], ["10.0.0.1"], "10.0.0.1"),
        ("10.0.0.1", ["nonsense"], ["10.0.0.1"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, <script>"], ["10.0.0.1"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], ["10.0.0.0/8"], "10.0.0.3"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], ["10.0.0.0/8"], "2001:db8::1"),
        ("", ["198.51.100.7"], ["10.0.0.0/8"], "unknown"),
    ],
)
def test_a_forwarded_address_is_believed_as_far_as_proxies_of_ours_wrote_it(
    peer: str, told: list[str], trusted: list[str], client: str
) -> None:
    assert client_of(peer, told, *trusted) == client


def test_an_ipv6_site_is_one_whatever_address_of_it_is_used() -> None:
    sites = {client_of(f"2001:db8:0:1::{n:x}", [], site=True) for n in (1, 2, 0xFFFF)}
    assert sites == {"2001:db8:0:1::/64"}
    assert client_of("192.0.2.1", [], site=True) == "192.0.2.1"

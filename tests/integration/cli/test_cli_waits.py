"""A server that limits requests is waited for: nothing was done, so nothing is done twice."""

import httpx
import pytest

from entrypoints.cli.address import Address
from entrypoints.cli.client import Client, Refused


def client_of(*answers: httpx.Response) -> Client:
    """Of a server that gives these answers, one after the other."""
    waiting = list(answers)
    client = Client(lambda: Address(url="http://localhost", key="etl_x"))
    client._http = httpx.Client(
        base_url="http://localhost", transport=httpx.MockTransport(lambda _: waiting.pop(0))
    )
    return client


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


def limited(after: str) -> httpx.Response:
    return httpx.Response(429, json={"code": "rate-exceeded"}, headers={"Retry-After": after})


def test_it_waits_as_long_as_it_is_asked_to_within_reason(pauses: list[float]) -> None:
    client = client_of(limited("3"), limited("100000"), limited("soon"), httpx.Response(200, json={"a": 1}))
    assert client.call("POST", "/jobs", body={}) == {"a": 1}
    assert pauses == [3, 60, 1]


def test_it_does_not_wait_for_ever(pauses: list[float]) -> None:
    with pytest.raises(Refused):
        client_of(*[limited("1")] * 4).call("GET", "/jobs")
    assert len(pauses) == 4

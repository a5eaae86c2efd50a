"""What stands around every answer: headers, request ids, hosts and origins."""

import re

import httpx
from structlog.testing import capture_logs

from domain.access import Scope
from entrypoints.http.app import HttpConfig
from tests.integration.http.api import Api
from tests.integration.http.problem import problem

JOBS = "/api/v1/jobs"


async def test_security_headers_stand_on_every_answer(admin: httpx.AsyncClient) -> None:
    for path in (JOBS, "/nothing", "/health/live", "/api/openapi.json", "/api/docs", "/problems/invalid"):
        headers = (await admin.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        assert headers["x-request-id"]
    assert (await admin.get(JOBS)).headers["cache-control"] == "no-store"


async def test_a_request_id_is_taken_if_well_formed_and_stands_in_the_log(admin: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        answer = await admin.get(JOBS, headers={"X-Request-Id": "abc-1.2_3"})
        assert answer.headers["x-request-id"] == "abc-1.2_3"
        for wrong in ("a b", "x" * 65, "a;b", ""):
            made = (await admin.get(JOBS, headers={"X-Request-Id": wrong})).headers["x-request-id"]
            assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert {(line["event"], line["status"], line["principal"]) for line in logs} == {
        ("request_answered", 200, "alice")
    }
    assert logs[0]["path"] == JOBS


async def test_a_problem_carries_the_callers_trace(admin: httpx.AsyncClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    for parent, found in (
        (f"00-{trace}-00f067aa0ba902b7-01", True),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
    ):
        answer = await admin.get("/nothing", headers={"traceparent": parent})
        assert (answer.json()["trace_id"] == trace) is found


async def test_without_auth_only_loopback_names_are_answered(api: Api) -> None:
    client = await api.client(config=HttpConfig(auth=False))
    for host in ("localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"):
        assert (await client.get(JOBS, headers={"Host": host})).status_code == 200
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8000",
        "evil@localhost:x",
        "[",
        "",
    ):
        problem(await client.get(JOBS, headers={"Host": host}), 403, "host-not-allowed")


async def test_named_hosts_are_the_only_ones(api: Api) -> None:
    client = await api.client(Scope.ADMIN, config=HttpConfig(hosts=("etl.example",)))
    assert (await client.get(JOBS, headers={"Host": "etl.example:8000"})).status_code == 200
    problem(await client.get(JOBS, headers={"Host": "localhost"}), 403, "host-not-allowed")


async def test_a_page_of_another_origin_is_refused(api: Api) -> None:
    client = await api.client(config=HttpConfig(auth=False))
    for origin in ("https://evil.example", "null", "http://localhost:9999", "http://localhost.evil.example"):
        answer = await client.post(JOBS, json={"script": "load.py"}, headers={"Origin": origin})
        problem(answer, 403, "origin-not-allowed")
    own = await client.post(JOBS, json={"script": "load.py"}, headers={"Origin": "http://localhost"})
    assert own.status_code == 201


async def test_a_named_origin_is_let_in_by_name_alone(api: Api) -> None:
    origin = "https://console.example"
    client = await api.client(Scope.ADMIN, config=HttpConfig(cors_origins=(origin,)))
    answer = await client.get(JOBS, headers={"Origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = await client.options(JOBS, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    refused = await client.options(JOBS, headers={**asked, "Origin": "https://evil.example"})
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from domain.access import Scope
from domain.errors import DatabaseUnavailable, EtlError, Overloaded
from entrypoints.http.app import HttpConfig, create_app
from entrypoints.http.problem_pages import every_error
from entrypoints.http.problems import status_of
from tests.integration.http.api import Api

JOBS = "/api/v1/jobs"
JSON = {"Content-Type": "application/json"}
MEMBERS = {"type", "title", "status", "detail", "instance", "code", "trace_id", "errors"}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer, whose members agree with it and with each other."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == MEMBERS
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["instance"] == answer.request.url.raw_path.decode().partition("?")[0]
    return body


# -- bodies ----------------------------------------------------------------------------------------

DEEP = b"[" * 100_000
MALFORMED = {
    "nothing": b"",
    "blank": b"  ",
    "words": b"script=load.py",
    "cut": b'{"script": "load.py"',
    "two": b'{"script": "load.py"} {}',
    "no utf-8": b'{"script": "\xff\xfe"}',
    "lone surrogate": b'{"script": "\\ud800"}',
    "byte order mark": b'\xef\xbb\xbf{"script": "load.py"}',
    "deep": b'{"script": "load.py", "parameters": ' + DEEP,
    "deep and whole": b'{"x": ' + DEEP + b"]" * 100_000 + b"}",
    "nan": b'{"script": "load.py", "timeout_seconds": NaN}',
    "infinite": b'{"script": "load.py", "timeout_seconds": Infinity}',
    "single quotes": b"{'script': 'load.py'}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_body_that_is_not_json_is_400_and_points_at_the_whole(
    admin: httpx.AsyncClient, body: bytes
) -> None:
    answer = await admin.post(JOBS, content=body or b" ", headers=JSON)
    assert problem(answer, 400, "malformed-json")["errors"][0]["pointer"] == ""


async def test_all_places_of_a_broken_body_are_named(admin: httpx.AsyncClient) -> None:
    body = {
        "script": 5,
        "priority": 101,
        "timeout_seconds": -1,
        "resource": {},
        "queue": "a b",
        "labels": {"team": "a\nb", "bad name": "x"},
        "retry": {"max_attempts": 0, "on": ["succeeded"], "often": True},
        "parameters": {"Period": "x", "nested": {"a": 1}},
        "environment": {"a/b": "x", "OK": 5},
        "not_before": "tomorrow",
    }
    errors = problem(await admin.post(JOBS, json=body), 400, "schema-broken")["errors"]
    named = {error["pointer"] for error in errors}
    assert {
        "/script",
        "/priority",
        "/timeout_seconds",
        "/resource",
        "/queue",
        "/labels/team",
        "/labels",
        "/retry/max_attempts",
        "/retry/on/0",
        "/retry/often",
        "/parameters",
        "/parameters/nested",
        "/environment",
        "/environment/OK",
        "/not_before",
    } <= named
    assert all("Traceback" not in error["detail"] for error in errors)


async def test_a_wrong_value_is_not_repeated_in_the_answer(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(JOBS, json={"script": "load.py", "environment": {"DB_PASSWORD": ["hunter2"]}})
    assert problem(answer, 400, "schema-broken")["errors"][0]["pointer"] == "/environment/DB_PASSWORD"
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("priority", b'"5"'),
        ("priority", b"5.5"),
        ("priority", b"1e1000"),
        ("priority", b"1" + b"0" * 30),
        ("timeout_seconds", b'"5"'),
        ("timeout_seconds", b"0"),
        ("queue", b'"default\\n"'),
        ("queue", b'"\\u0661"'),
        ("queue", b'"a\\u0000"'),
        ("labels", b'{"a": "\\u0000"}'),
        ("parameters", b'{"a": ' + b"1" * 5000 + b"}"),
        ("parameters", b'{"a": ' + b"1" * 40 + b"}"),
        ("parameters", b'{"a": "' + b"x" * 8193 + b'"}'),
        ("not_before", b'"2026-01-01T00:00:00"'),
        ("not_before", b"5"),
        ("not_before", b'"0001-01-01T00:00:00+14:00"'),
        ("concurrency", b'{"key": "\\u0000"}'),
        ("concurrency", b'{"key": "k", "limit": 0}'),
        ("resources", b'{"memory_bytes": 0}'),
        ("left_behind", b'"free"'),
        ("resources", b'{"cpu_seconds": 0}'),
        ("resources", b'{"open_files": "64"}'),
        ("resources", b'{"disk_bytes": 1}'),
        ("args", b"null"),
        ("args", b'"--x"'),
        ("command", b'"rm -rf"'),
    ],
)
async def test_a_value_is_taken_strictly(admin: httpx.AsyncClient, member: str, value: bytes) -> None:
    body = b'{"script": "load.py", "%b": %b}' % (member.encode(), value)
    errors = problem(await admin.post(JOBS, content=body, headers=JSON), 400, "schema-broken")["errors"]
    assert errors[0]["pointer"].startswith(f"/{member}")


async def test_a_body_that_is_no_object_is_400(admin: httpx.AsyncClient) -> None:
    for body in (b"[]", b"null", b"5", DEEP + b"]" * 100_000):
        answer = await admin.post(JOBS, content=body, headers=JSON)
        assert answer.status_code == 400


async def test_many_wrong_places_do_not_make_a_large_answer(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(f"{JOBS}/batch", json={"jobs": [{"script": 5}] * 1000})
    assert len(problem(answer, 400, "schema-broken")["errors"]) == 100


@pytest.mark.parametrize(
    "media",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json5",
        "application/json; charset=utf-16",
        "text/plain; application/json",
        "",
    ],
)
async def test_a_body_of_another_type_is_415(admin: httpx.AsyncClient, media: str) -> None:
    answer = await admin.post(JOBS, content=b'{"script": "load.py"}', headers={"Content-Type": media})
    problem(answer, 415, "unsupported-media-type")


async def test_a_compressed_body_is_415(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(JOBS, content=b"x", headers={**JSON, "Content-Encoding": "gzip"})
    problem(answer, 415, "unsupported-media-type")


async def test_json_in_utf_8_may_say_so(admin: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "Application/JSON; charset=UTF-8"}
    answer = await admin.post(JOBS, content=b'{"script": "load.py"}', headers=headers)
    assert answer.status_code == 201


async def test_a_body_too_large_is_413_whether_it_says_so_or_not(api: Api) -> None:
    client = await api.client(Scope.ADMIN, config=HttpConfig(max_body=1000))
    large = b'{"script": "' + b"x" * 1000 + b'"}'
    problem(await client.post(JOBS, content=large, headers=JSON), 413, "body-too-large")

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 100):
            yield large[start : start + 100]

    answer = await client.post(JOBS, content=chunks(), headers=JSON)
    assert answer.request.headers["transfer-encoding"] == "chunked"
    problem(answer, 413, "body-too-large")


# -- the router, the kinds, the pages --------------------------------------------------------------


async def test_what_is_not_there_is_404(admin: httpx.AsyncClient) -> None:
    for path in (
        "/",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/jobs",
        "/schema",
        "/problems/nothing",
    ):
        problem(await admin.get(path), 404, "route-not-found")


async def test_an_escaped_path_leads_nowhere(admin: httpx.AsyncClient) -> None:
    for path in (
        "/api/v1%2fjobs",
        "/api/v1/job%73",
        "/api/v1/jobs/..%2f..%2fetc%2fpasswd",
        "/health/live%00",
    ):
        answer = await admin.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "route-not-found"), path


async def test_another_method_is_405_and_told_which_there_are(admin: httpx.AsyncClient) -> None:
    answer = await admin.delete(JOBS)
    problem(answer, 405, "method-not-allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


class Failing:
    """A use case that only fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def __call__(self, *_: object) -> object:
        raise self.error


def failing(api: Api, error: Exception) -> httpx.AsyncClient:
    broken: Any = Failing(error)
    app: Any = create_app(
        replace(api.use_cases(), list_queues=broken), HttpConfig(auth=False), api.meters, api.tracer
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.mark.parametrize(
    "error", [DatabaseUnavailable("The database does not answer."), Overloaded("Slower.")]
)
async def test_what_may_be_tried_again_says_when(api: Api, error: EtlError) -> None:
    answer = await failing(api, error).get("/api/v1/queues")
    problem(answer, status_of(type(error)), error.code)
    assert answer.status_code in {429, 503}
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("SELECT secret FROM /etc/passwd"),
        KeyError("x"),
        RecursionError(),
        UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
    ],
)
async def test_a_fault_of_ours_is_500_says_nothing_and_is_logged(api: Api, error: Exception) -> None:
    with capture_logs() as logs:
        answer = await failing(api, error).get("/api/v1/queues")
    body = problem(answer, 500, "internal-error")
    assert not re.search(r"SELECT|/etc|Traceback|File|\.py", answer.text)
    assert body["trace_id"] == answer.headers["x-request-id"]
    assert [line["event"] for line in logs] == ["request_failed", "request_answered"]
    assert logs[0]["exc_info"] is error


def test_every_error_has_a_status_and_a_code_of_its_own() -> None:
    errors = every_error()
    assert len(errors) > 30
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in errors)
    assert status_of(EtlError) == 500
    assert {code for code, error in errors.items() if status_of(error) == 500} == {"internal-error"}


async def test_every_error_has_a_page_without_foreign_assets(api: Api) -> None:
    client = await api.client()
    for code, error in every_error().items():
        page = await client.get(f"/problems/{code}")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert error.title.replace("'", "&#x27;") in page.text
        assert "http:" not in page.text
        assert "<script" not in page.text


# -- around every answer ---------------------------------------------------------------------------


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


async def test_a_wrong_place_says_what_would_be_right(admin: httpx.AsyncClient) -> None:
    body = {"script": 5, "prioriti": 5, "retry": {"max_attempt": 2, "on": ["x"]}, "colour": "red"}
    errors = problem(await admin.post(JOBS, json=body), 400, "schema-broken")["errors"]
    assert {error["pointer"]: error["detail"] for error in errors} == {
        "/script": "must be string or null",
        "/prioriti": "is not known here; did you mean `priority`?",
        "/retry/max_attempt": "is not known here; did you mean `max_attempts`?",
        "/retry/on/0": 'this is not one of "failed", "lost" or "timed_out"',
        "/colour": "is not known here",
    }


async def test_a_wrong_parameter_says_what_would_be_right(admin: httpx.AsyncClient) -> None:
    errors = problem(await admin.get(f"{JOBS}?state=done&limt=5&limit=0"), 400, "wrong-parameter")["errors"]
    assert {error["pointer"]: error["detail"] for error in errors} == {
        "state": "must be cancelled or failed or queued or running or succeeded",
        "limt": "is not known here; did you mean `limit`?",
        "limit": "Expected `int` >= 1",
    }

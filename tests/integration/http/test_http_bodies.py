"""What a request may bring, and how it is told what is wrong with it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from domain.access import Scope
from entrypoints.http.app import HttpConfig
from tests.integration.http.api import Api
from tests.integration.http.problem import problem

JOBS = "/api/v1/jobs"
JSON = {"Content-Type": "application/json"}

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

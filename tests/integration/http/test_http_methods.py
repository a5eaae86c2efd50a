"""HEAD, OPTIONS and `Allow` (RFC 9110, 9.3 and 10.2.1), and what a deprecated operation says of itself."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from litestar import Litestar, Response
from litestar.params import FromPath

from domain.access import Scope
from domain.errors import JobNotFound
from entrypoints.http.app import BASE
from entrypoints.http.deprecation import Deprecation
from entrypoints.http.methods import Methods
from entrypoints.http.openapi import document_of
from entrypoints.http.operation import Answer, operation
from entrypoints.http.problems import answer_error
from tests.integration.http.api import Api, document

JOBS = f"{BASE}/jobs"
VARYING = {"x-request-id", "date"}
NOT_TWICE_THE_SAME = {f"{JOBS}/{{job_id}}/log/stream", "/metrics"}
"""A stream that does not end (it has its own test), and figures that grow by being asked for."""


async def bare(api: Api, *scopes: Scope) -> httpx.AsyncClient:
    """Without the check against the document, in which HEAD and OPTIONS do not stand."""
    client = await api.client(*scopes)
    client.event_hooks = {}
    return client


async def test_head_answers_everything_that_get_answers_but_the_body(api: Api) -> None:
    client = await bare(api, Scope.ADMIN)
    job_id = (await client.post(JOBS, json={"script": "load.py"})).json()["id"]
    job = await api.start(job_id)
    await api.write(job, b"one\ntwo\n")
    paths = [path for path, methods in document()["paths"].items() if "get" in methods]
    for path in paths:
        if path in NOT_TWICE_THE_SAME:
            continue
        url = path.format(job_id=job_id, code="job-not-found", asset="start.js")
        got, headed = await client.get(url), await client.head(url)
        assert headed.content == b"", url
        assert headed.status_code == got.status_code == 200, url
        assert without_varying(headed) == without_varying(got), url


def without_varying(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in VARYING}


async def test_head_of_a_part_of_a_log_tells_its_length(api: Api) -> None:
    client = await bare(api, Scope.ADMIN)
    job = await api.start((await client.post(JOBS, json={"script": "load.py"})).json()["id"])
    await api.write(job, b"0123456789")
    part = await client.head(f"{JOBS}/{job.id}/log", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.headers["content-length"]) == (206, "3")
    assert part.headers["content-range"] == "bytes 2-4/10"
    whole = await client.head(f"{JOBS}/{job.id}/log")
    assert whole.headers["content-length"] == "10"
    same = await client.head(f"{JOBS}/{job.id}/log", headers={"If-None-Match": whole.headers["etag"]})
    assert same.status_code == 304


async def test_head_of_a_live_log_ends_at_once_and_leaves_nothing_behind(api: Api) -> None:
    client = await bare(api, Scope.ADMIN)
    job = await api.start((await client.post(JOBS, json={"script": "load.py"})).json()["id"])
    async with asyncio.timeout(20):
        answer = await client.head(f"{JOBS}/{job.id}/log/stream")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert not api.records.inboxes


async def test_head_asks_for_the_same_key_and_says_the_same_no(api: Api) -> None:
    stranger, reader = await bare(api), await bare(api, Scope.JOBS_READ)
    assert (await stranger.head(JOBS)).status_code == 401
    assert (await reader.head(f"{BASE}/keys")).status_code == 403
    assert (await reader.head(f"{JOBS}/019a0000-0000-7000-8000-000000000000")).status_code == 404
    assert (await reader.head(f"{JOBS}/batch")).status_code == 405


async def test_allow_names_every_method_of_the_address(api: Api) -> None:
    client = await bare(api)
    for path, methods in document()["paths"].items():
        url = path.format(
            job_id="x", worker_id="x", key_id="x", name="x", code="job-not-found", asset="start.js"
        )
        wanted = {"OPTIONS", *(method.upper() for method in methods)} | (
            {"HEAD"} if "get" in methods else set()
        )
        asked, refused = await client.options(url), await client.put(url)
        assert (asked.status_code, refused.status_code) == (204, 405), url
        for answer in (asked, refused):
            assert set(answer.headers["allow"].split(", ")) == wanted, url


# -- deprecation -----------------------------------------------------------------------------------


@operation(
    "GET",
    "/old/{name:str}",
    id="readOld",
    tag="docs",
    summary="An operation that will go",
    scopes=(),
    answers=(Answer(200, "It is still there.", media="text/plain"),),
    errors=(JobNotFound,),
    deprecation=Deprecation(
        since=datetime(2026, 11, 1, tzinfo=UTC),
        sunset=datetime(2027, 5, 1, tzinfo=UTC),
        instead="read `/api/v1/jobs`.",
        successor="/api/v1/jobs",
    ),
)
async def read_old(name: FromPath[str]) -> Response[str]:
    """For the test."""
    if name == "nothing":
        raise JobNotFound("There is no job of this name.")
    return Response("old", media_type="text/plain")


def with_old() -> Litestar:
    return Litestar(
        route_handlers=[read_old],
        exception_handlers={JobNotFound: answer_error},
        openapi_config=None,
        logging_config=None,
    )


@pytest.mark.parametrize(("name", "status"), [("something", 200), ("nothing", 404)])
async def test_a_deprecated_operation_says_so_on_every_answer(name: str, status: int) -> None:
    app: Any = Methods(with_old())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(f"/old/{name}")
    assert answer.status_code == status
    assert answer.headers["deprecation"] == "@1793491200"  # RFC 9745: a date of RFC 9651
    assert answer.headers["sunset"] == "Sat, 01 May 2027 00:00:00 GMT"  # RFC 8594: an HTTP date
    assert '</api/versioning>; rel="deprecation"' in answer.headers["link"]
    assert '</api/v1/jobs>; rel="successor-version"' in answer.headers["link"]


def test_the_document_marks_a_deprecated_operation_and_its_headers() -> None:
    app = with_old()
    app.state.version = "0"
    described = document_of(app)["paths"]["/old/{name}"]["get"]
    assert described["deprecated"] is True
    assert "read `/api/v1/jobs`" in described["description"]
    for answer in described["responses"].values():
        assert {"Deprecation", "Sunset", "Link"} <= set(answer["headers"])


def test_nothing_of_today_is_deprecated() -> None:
    assert not [m for methods in document()["paths"].values() for m in methods.values() if "deprecated" in m]

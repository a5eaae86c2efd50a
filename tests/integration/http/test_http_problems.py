import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from domain.errors import DatabaseUnavailable, EtlError, Overloaded
from entrypoints.http.app import HttpConfig, create_app
from entrypoints.http.problem_pages import every_error
from entrypoints.http.problems import status_of
from tests.integration.http.api import Api
from tests.integration.http.problem import problem

JOBS = "/api/v1/jobs"


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

"""Reading, cancelling and retrying jobs."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from domain.job import JobState
from tests.builders import failed
from tests.integration.http.api import Api, until

JOBS = "/api/v1/jobs"


async def submitted(client: httpx.AsyncClient, **request: object) -> dict[str, object]:
    answer = await client.post(JOBS, json={"script": "load.py", **request})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_pages_give_each_job_once_newest_first(admin: httpx.AsyncClient) -> None:
    ids = [(await submitted(admin))["id"] for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await admin.get(JOBS, params=params)).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        await submitted(admin)  # newer ones never shift a page
        if cursor is None:
            break
    assert seen == ids[::-1]


async def test_filters_select(admin: httpx.AsyncClient) -> None:
    a = await submitted(admin, queue="a", labels={"team": "x:y", "env": "prod"})
    b = await submitted(admin, queue="b")
    await admin.post(f"{JOBS}/{b['id']}/cancel")

    async def ids(*params: tuple[str, str]) -> list[str]:
        answer = await admin.get(JOBS, params=list(params))
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()["items"]]

    assert await ids(("queue", "a")) == [a["id"]]
    assert await ids(("state", "cancelled")) == [b["id"]]
    assert await ids(("state", "cancelled"), ("state", "queued")) == [b["id"], a["id"]]
    assert await ids(("label", "team:x:y"), ("label", "env:prod")) == [a["id"]]
    assert await ids(("label", "team:x:y"), ("label", "env:test")) == []
    assert await ids(("script", "load.py"), ("queue", "b")) == [b["id"]]
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert await ids(("submitted_after", future)) == []
    assert len(await ids(("submitted_before", future))) == 2


async def test_a_short_id_finds_the_job_it_begins(admin: httpx.AsyncClient) -> None:
    job = await submitted(admin)
    found = (await admin.get(JOBS, params={"id_prefix": str(job["id"])[:30], "limit": "2"})).json()
    assert job["id"] in [item["id"] for item in found["items"]]
    assert (await admin.get(JOBS, params={"id_prefix": "abc", "queue": "a"})).status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=1_0",
        "limit=%D9%A1",
        "limit=1&limit=2",
        "limit=",
        "limit=nan",
        "state=done",
        "colour=red",
        "submitted_after=yesterday",
        "submitted_after=5",
        "submitted_after=2026-01-01T00:00:00",
        "label=nocolon",
        "queue=a%00b",
        "queue=default%0A",
        "id_prefix=XYZ",
        "limit=%ff",
        "submitted_before=0001-01-01T00:00:00%2B14:00",
    ],
)
async def test_a_wrong_parameter_is_400_and_named(admin: httpx.AsyncClient, query: str) -> None:
    answer = await admin.get(f"{JOBS}?{query}")
    assert answer.status_code == 400, answer.text
    if query != "limit=%ff":
        assert answer.json()["errors"][0]["pointer"] == query.partition("=")[0]


@pytest.mark.parametrize("cursor", ["!!", "abc", "x" * 200, "AAAA"])
async def test_a_made_up_cursor_is_422(admin: httpx.AsyncClient, cursor: str) -> None:
    answer = await admin.get(JOBS, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-cursor")


async def test_an_etag_saves_the_body_until_the_job_changes(admin: httpx.AsyncClient) -> None:
    url = f"{JOBS}/{(await submitted(admin))['id']}"
    first = await admin.get(url)
    assert first.json()["waiting_for"] == "No live worker serves queue 'default'."
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        same = await admin.get(url, headers={"If-None-Match": tag})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    await admin.post(f"{url}/cancel")
    assert (await admin.get(url, headers={"If-None-Match": first.headers["etag"]})).status_code == 200


async def test_waiting_answers_as_soon_as_the_job_is_final(api: Api, admin: httpx.AsyncClient) -> None:
    job = await api.start(str((await submitted(admin))["id"]))
    assert (await admin.get(f"{JOBS}/{job.id}", params={"wait": "0.05"})).json()["state"] == "running"

    async def end_when_somebody_waits() -> None:
        await until(lambda: bool(api.records.inboxes))
        await api.end(job)

    ending = asyncio.create_task(end_when_somebody_waits())
    answer = await admin.get(f"{JOBS}/{job.id}", params={"wait": "60"})
    await ending
    assert answer.json()["state"] == "succeeded"


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon"])
async def test_nobody_waits_for_longer_than_a_minute(admin: httpx.AsyncClient, wait: str) -> None:
    assert (await admin.get(f"{JOBS}/{(await submitted(admin))['id']}?wait={wait}")).status_code == 400


@pytest.mark.parametrize(
    "form",
    ["{%s}", "urn:uuid:%s", "upper", "nohyphens", "%s%%0A", "1_0", "10**30", "%%2f..%%2f%s"],
)
async def test_an_id_has_one_form_and_anything_else_is_404(admin: httpx.AsyncClient, form: str) -> None:
    job_id = str((await submitted(admin))["id"])
    forms = {"upper": job_id.upper(), "nohyphens": job_id.replace("-", "")}
    text = forms.get(form) or (form % job_id if "%s" in form else form)
    answer = await admin.get(f"{JOBS}/{text}")
    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] in {"job-not-found", "route-not-found"}


@pytest.mark.parametrize(
    ("method", "tail"),
    [
        ("GET", ""),
        ("GET", "/attempts"),
        ("GET", "/events"),
        ("GET", "/log"),
        ("GET", "/log/stream"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
    ],
)
async def test_a_job_that_is_not_there_is_404(admin: httpx.AsyncClient, method: str, tail: str) -> None:
    answer = await admin.request(method, f"{JOBS}/019a0000-0000-7000-8000-000000000000{tail}")
    assert (answer.status_code, answer.json()["code"]) == (404, "job-not-found")


async def test_attempts_and_events_tell_what_happened_newest_first(
    api: Api, admin: httpx.AsyncClient
) -> None:
    retry = {"max_attempts": 2, "delay_seconds": 0, "jitter": 0}
    job_id = str((await submitted(admin, retry=retry))["id"])
    await api.end(await api.start(job_id), failed(3))
    await api.end(await api.start(job_id))
    attempts = (await admin.get(f"{JOBS}/{job_id}/attempts")).json()
    assert [(a["number"], a["outcome"]) for a in attempts["items"]] == [(2, "succeeded"), (1, "failed")]
    assert attempts["items"][1]["reason"]["exit_code"] == 3
    events = (await admin.get(f"{JOBS}/{job_id}/events")).json()["items"]
    assert [e["kind"] for e in events][::-1][:4] == ["submitted", "claimed", "started", "retry_planned"]
    assert events[0]["kind"] == "succeeded"
    first = (await admin.get(f"{JOBS}/{job_id}/events", params={"limit": "2"})).json()
    rest = await admin.get(f"{JOBS}/{job_id}/events", params={"limit": "200", "cursor": first["next_cursor"]})
    assert first["items"] + rest.json()["items"] == events


async def test_a_page_stays_the_same_while_jobs_come(admin: httpx.AsyncClient) -> None:
    made = [str((await submitted(admin))["id"]) for _ in range(4)]
    first = (await admin.get(JOBS, params={"limit": "2"})).json()
    await submitted(admin)
    second = await admin.get(JOBS, params={"limit": "2", "cursor": first["next_cursor"]})
    ids = [item["id"] for item in (*first["items"], *second.json()["items"])]
    assert (ids, second.json()["next_cursor"]) == (made[::-1], None)


# -- changing --------------------------------------------------------------------------------------


async def test_cancel_is_200_queued_202_running_200_again_and_409_ended(
    api: Api, admin: httpx.AsyncClient
) -> None:
    queued = f"{JOBS}/{(await submitted(admin, priority=-1))['id']}"
    running = await api.start((await admin.get(JOBS)).json()["items"][0]["id"])
    asked = await admin.post(f"{JOBS}/{running.id}/cancel")
    assert (asked.status_code, asked.json()["state"]) == (202, "running")
    assert asked.json()["cancel_requested_at"]
    other = f"{JOBS}/{(await submitted(admin))['id']}"
    for _ in range(2):
        answer = await admin.post(f"{other}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    ended = await api.start((await submitted(admin))["id"])  # type: ignore[arg-type]  # a string
    await api.end(ended)
    answer = await admin.post(f"{JOBS}/{ended.id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "job-is-final")
    assert queued.endswith(str(running.id))


async def test_retry_makes_a_new_job_of_a_final_one_only(api: Api, admin: httpx.AsyncClient) -> None:
    url = f"{JOBS}/{(await submitted(admin, labels={'a': 'b'}))['id']}"
    answer = await admin.post(f"{url}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "job-is-not-final")
    await admin.post(f"{url}/cancel")
    again = await admin.post(f"{url}/retry")
    assert again.status_code == 201
    assert again.json()["retry_of"] == url.rpartition("/")[2]
    assert again.json()["labels"] == {"a": "b"}
    assert again.headers["location"] == f"{JOBS}/{again.json()['id']}"
    assert (await api.history.get(UUID(again.json()["id"]))).state is JobState.QUEUED

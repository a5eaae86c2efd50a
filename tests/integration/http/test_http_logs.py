import json
from dataclasses import replace

import httpx
import pytest

from adapters.memory.log_store import MemoryLogStore
from adapters.memory.log_upkeep import MemoryLogUpkeep
from domain.access import Scope
from domain.job import Job
from domain.log import Extent, LogRef, Stream
from tests.builders import failed
from tests.integration.http.api import Api

TEXT = b"one\ntwo\n\xff\x00three\nfour"
NDJSON = {"Accept": "application/x-ndjson"}


@pytest.fixture
async def job(api: Api, admin: httpx.AsyncClient) -> Job:
    """One that runs and has written."""
    made = await admin.post(
        "/api/v1/jobs", json={"script": "load.py", "retry": {"max_attempts": 2, "delay_seconds": 0}}
    )
    running = await api.start(made.json()["id"])
    await api.write(running, TEXT)
    return running


def log(job: Job) -> str:
    return f"/api/v1/jobs/{job.id}/log"


async def test_the_bytes_come_as_written(admin: httpx.AsyncClient, job: Job) -> None:
    answer = await admin.get(log(job))
    assert answer.content == TEXT
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == str(len(TEXT))
    assert answer.headers["accept-ranges"] == "bytes, written"


async def test_a_log_that_grows_meanwhile_is_bounded_by_its_size(
    api: Api, admin: httpx.AsyncClient, job: Job
) -> None:
    etag = (await admin.get(log(job))).headers["etag"]
    assert (await admin.get(log(job), headers={"If-None-Match": etag})).status_code == 304
    await api.write(job, b"more\n")
    grown = await admin.get(log(job), headers={"If-None-Match": etag})
    assert (grown.status_code, grown.content) == (200, TEXT + b"more\n")


SIZE = len(TEXT)


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [
        ("bytes=0-2", 0, 3),
        ("bytes=4-", 4, SIZE),
        ("bytes=-4", SIZE - 4, SIZE),
        ("bytes=0-99999", 0, SIZE),
        ("bytes=-99999", 0, SIZE),
        ("bytes=3-3", 3, 4),
    ],
)
async def test_a_range_is_206(admin: httpx.AsyncClient, job: Job, asked: str, first: int, stop: int) -> None:
    answer = await admin.get(log(job), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, TEXT[first:stop])
    assert answer.headers["content-range"] == f"bytes {first}-{stop - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(stop - first)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=99999-", "bytes=-0", f"bytes={SIZE}-{SIZE + 1}"])
async def test_a_range_past_the_end_is_416_and_told_the_size(
    admin: httpx.AsyncClient, job: Job, asked: str
) -> None:
    answer = await admin.get(log(job), headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range-not-satisfiable")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "bytes=-", "bytes=\u0661-"]
)
async def test_a_range_that_is_none_is_answered_with_all(
    admin: httpx.AsyncClient, job: Job, asked: str
) -> None:
    answer = await admin.get(log(job), headers={b"Range": asked.encode()})
    assert (answer.status_code, answer.content) == (200, TEXT)


async def test_a_range_of_another_version_is_answered_with_all(admin: httpx.AsyncClient, job: Job) -> None:
    etag = (await admin.get(log(job))).headers["etag"]
    same = await admin.get(log(job), headers={"Range": "bytes=0-2", "If-Range": etag})
    other = await admin.get(log(job), headers={"Range": "bytes=0-2", "If-Range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


async def test_tail_stream_and_attempt_select(api: Api, admin: httpx.AsyncClient, job: Job) -> None:
    await api.write(job, b"oops\n", Stream.STDERR)
    assert (await admin.get(log(job), params={"stream": "stderr"})).content == b"oops\n"
    assert (await admin.get(log(job), params={"stream": "stdout"})).content == TEXT
    assert (await admin.get(log(job), params={"tail": "0"})).content == b""
    assert (await admin.get(log(job), params={"tail": "99"})).content == TEXT + b"oops\n"
    tail = await admin.get(log(job), params={"tail": "1", "stream": "stderr"}, headers={"Range": "bytes=0-1"})
    assert (tail.status_code, tail.content) == (206, b"oo")
    await api.end(job, failed())
    again = await api.start(job.id)
    await api.write(again, b"second\n")
    assert (await admin.get(log(job))).content == b"second\n"
    assert (await admin.get(log(job), params={"attempt": "1", "stream": "stderr"})).content == b"oops\n"
    missing = await admin.get(log(job), params={"attempt": "3"})
    assert (missing.status_code, missing.json()["code"]) == (404, "attempt-not-found")


async def test_a_job_without_an_attempt_has_no_log(admin: httpx.AsyncClient) -> None:
    made = await admin.post("/api/v1/jobs", json={"script": "load.py"})
    answer = await admin.get(made.headers["location"] + "/log")
    assert (answer.status_code, answer.json()["code"]) == (404, "attempt-not-found")


async def test_an_attempt_that_has_not_written_has_an_empty_log(api: Api, admin: httpx.AsyncClient) -> None:
    made = await admin.post("/api/v1/jobs", json={"script": "load.py"})
    running = await api.start(made.json()["id"])
    assert (await admin.get(log(running))).content == b""
    assert (await admin.get(log(running), headers=NDJSON)).content == b""
    assert (await admin.get(log(running), headers={"Range": "bytes=0-"})).status_code == 416


@pytest.mark.parametrize(
    "query",
    [
        "attempt=0",
        "attempt=1_0",
        "tail=-1",
        "stream=system",
        "tail=1&tail=2",
    ],
)
async def test_a_parameter_that_does_not_fit_is_400(admin: httpx.AsyncClient, job: Job, query: str) -> None:
    answer = await admin.get(f"{log(job)}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong-parameter")


async def test_lines_page_by_cursor_without_gap_or_double(
    api: Api, admin: httpx.AsyncClient, job: Job
) -> None:
    await api.end(job)
    seen: list[dict[str, object]] = []
    after = None
    while True:
        params = {"limit": "2"} | ({"after": str(after)} if after else {})
        answer = await admin.get(log(job), params=params, headers=NDJSON)
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.content.splitlines()]
        if not lines:
            break
        seen += lines
        after = lines[-1]["cursor"]
    assert [line["line"] for line in seen] == [1, 2, 3, 4]
    assert [line["text"] for line in seen] == ["one", "two", "\ufffd\x00three", "four"]
    assert set(seen[0]) == {"line", "at", "stream", "text", "cursor"}


async def test_a_made_up_cursor_is_422(admin: httpx.AsyncClient, job: Job) -> None:
    for cursor in ("nonsense", "1", "-1.5", "\u0661.5", "1.nonsense", "1.-5"):
        answer = await admin.get(log(job), params={"after": cursor}, headers=NDJSON)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-cursor"), cursor


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "text/plain"),
        ("text/*", "text/plain"),
        ("application/x-ndjson, text/plain;q=0.5", "application/x-ndjson"),
        ("application/x-ndjson;q=0.1, text/plain", "text/plain"),
        ("application/*", "application/x-ndjson"),
        ("text/html, */*;q=0.1", "text/plain"),
    ],
)
async def test_accept_chooses_the_form(admin: httpx.AsyncClient, job: Job, accept: str, media: str) -> None:
    answer = await admin.get(log(job), headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(media)
    assert "Accept" in answer.headers["vary"]


@pytest.mark.parametrize("accept", ["image/png", "text/plain;q=0", "application/json", "text/plain;q=x"])
async def test_another_form_is_406(admin: httpx.AsyncClient, job: Job, accept: str) -> None:
    answer = await admin.get(log(job), headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (406, "not-acceptable")


async def test_the_tail_comes_as_lines_too_and_goes_on_by_its_cursor(
    api: Api, admin: httpx.AsyncClient, job: Job
) -> None:
    await api.end(job)
    answer = await admin.get(log(job), params={"tail": "2"}, headers=NDJSON)
    texts = [json.loads(line)["text"] for line in answer.content.splitlines()]
    assert texts == ["\ufffd\x00three", "four"]
    first = await admin.get(log(job), params={"tail": "2", "limit": "1"}, headers=NDJSON)
    assert len(first.content.splitlines()) == 1
    rest = await admin.get(
        log(job), params={"after": first.headers["x-next-cursor"], "limit": "5"}, headers=NDJSON
    )
    assert (first.content + rest.content).startswith(answer.content)


async def test_a_search_gives_lines_and_the_way_to_the_next_page(admin: httpx.AsyncClient, job: Job) -> None:
    answer = await admin.get(log(job), params={"contains": "t", "limit": "1"}, headers=NDJSON)
    assert [json.loads(line)["text"] for line in answer.content.splitlines()] == ["two"]
    following = answer.headers["link"].removeprefix("<log").removesuffix('>; rel="next"')
    more = await admin.get(log(job) + following, headers=NDJSON)
    assert [json.loads(line)["text"] for line in more.content.splitlines()] == ["\ufffd\x00three"]


@pytest.mark.parametrize("query", ["contains=", "contains=a%0Ab"])
async def test_lines_that_cannot_be_asked_for_are_400(admin: httpx.AsyncClient, job: Job, query: str) -> None:
    assert (await admin.get(f"{log(job)}?{query}", headers=NDJSON)).status_code == 400


@pytest.mark.parametrize(
    ("query", "media", "named"),
    [
        ("contains=x", "text/plain", "contains"),
        ("limit=5", "text/plain", "limit"),
        ("after=1.0", "text/plain", "after"),
        ("tail=1&after=1.0-0-0", "application/x-ndjson", "after"),
        ("tail=1&contains=x", "application/x-ndjson", "contains"),
    ],
)
async def test_parameters_that_do_not_go_together_are_422_and_named(
    admin: httpx.AsyncClient, job: Job, query: str, media: str, named: str
) -> None:
    answer = await admin.get(f"{log(job)}?{query}", headers={"Accept": media})
    assert (answer.status_code, answer.json()["code"]) == (422, "parameters-disagree")
    assert [error["pointer"] for error in answer.json()["errors"]] == [named]


async def test_a_log_that_retention_deleted_is_410(api: Api, admin: httpx.AsyncClient, job: Job) -> None:
    ending = failed()
    ended = await api.end(job, replace(ending, exit=replace(ending.exit, log_bytes=len(TEXT))))
    await MemoryLogUpkeep(api.logs).prune(job.id)
    for headers in ({}, NDJSON, {"Range": "bytes=0-"}):
        answer = await admin.get(log(ended), params={"attempt": "1"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (410, "log-gone")


async def test_written_bytes_are_a_range_unit_of_their_own(admin: httpx.AsyncClient, job: Job) -> None:
    answer = await admin.get(log(job), headers={"Range": "written=4-"})
    assert (answer.status_code, answer.content) == (206, TEXT[4:])
    assert answer.headers["content-range"] == f"written 4-{SIZE - 1}/{SIZE}"
    past = await admin.get(log(job), headers={"Range": f"written={SIZE}-"})
    assert (past.status_code, past.headers["content-range"]) == (416, f"written */{SIZE}")


class CutLogs(MemoryLogStore):
    """As if [2, 20) of what was written had been cut."""

    async def extent(self, ref: LogRef, stream: Stream | None = None) -> Extent:
        return Extent(2, 20, (await super().extent(ref, stream)).size)


async def test_a_cut_log_is_served_with_a_note_and_refuses_ranges_that_would_move(
    api: Api, admin: httpx.AsyncClient
) -> None:
    del admin
    api.logs = CutLogs()
    client = await api.client(Scope.ADMIN)
    made = await client.post("/api/v1/jobs", json={"script": "load.py"})
    running = await api.start(made.json()["id"])
    written = bytes(range(65, 90))
    await api.write(running, written)
    whole = b"AB\n[etl: 18 bytes cut]\n" + written[20:]

    async def get(**headers: str) -> httpx.Response:
        return await client.get(log(running), headers={k.replace("_", "-"): v for k, v in headers.items()})

    answer = await get()
    assert (answer.status_code, answer.content) == (200, whole)
    assert answer.headers["content-length"] == str(len(whole))
    assert (await get(Range="bytes=0-1")).content == b"AB"
    assert (await get(Range="bytes=3-")).status_code == 200
    same = await get(Range="bytes=3-", If_Range=answer.headers["etag"])
    assert (same.status_code, same.content) == (206, whole[3:])
    assert (await get(Range="bytes=-3")).content == whole[-3:]
    inside = await get(Range="written=7-")
    assert inside.content == b"\n[etl: 13 bytes cut]\n" + written[20:]
    assert inside.headers["content-range"] == "written 20-24/25"
    assert (await get(Range="written=0-")).headers["content-range"] == "written 0-1/25"
    assert (await get(Range="written=22-")).content == written[22:]


async def test_a_log_on_another_machine_is_421_with_its_name(
    api: Api, admin: httpx.AsyncClient, job: Job
) -> None:
    await MemoryLogUpkeep(api.logs).prune(job.id)
    api.logs.elsewhere.add(api.worker.host)
    for headers in ({}, NDJSON, {"Range": "bytes=0-"}):
        answer = await admin.get(log(job), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (421, "log-elsewhere")
        assert api.worker.host in answer.json()["detail"]

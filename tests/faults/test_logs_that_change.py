"""Logs that are deleted or compressed under their readers: over HTTP, on files, with real processes."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.filesystem.log_store import FilesystemLogStore
from adapters.filesystem.log_upkeep import FilesystemLogUpkeep
from application.follow_log import FollowLog
from application.job_reads import JobReads
from application.log_pages import LogPages
from application.read_log import ReadLogBytes, ReadLogLines
from domain.access import Scope
from domain.job import Job
from domain.log import LogRef, Stream
from entrypoints.http.app import HttpConfig, create_app
from entrypoints.http.server import HttpServer
from tests.builders import succeeded
from tests.faults import compressing
from tests.faults.waiting import eventually
from tests.integration.http.api import PATIENCE, Api
from tests.log_writer import LogWriter

LINES = 80_000
TEXT = b"".join(b"line %012d of the log of a job that printed a lot\n" % n for n in range(LINES))
NDJSON = {"Accept": "application/x-ndjson"}


@dataclass
class Site:
    """The API on a real server, with logs in files, and a job that has ended and written TEXT."""

    api: Api
    client: httpx.AsyncClient
    job: Job
    file: Path

    @property
    def url(self) -> str:
        return f"/api/v1/jobs/{self.job.id}/log"

    @property
    def directory(self) -> Path:
        return self.file.parents[3]

    async def prune(self) -> None:
        """As retention does it."""
        await FilesystemLogUpkeep(self.directory).prune(self.job.id)

    async def range(self, start: int, stop: int) -> tuple[bytes, str]:
        answer = await self.client.get(self.url, headers={"Range": f"bytes={start}-{stop - 1}"})
        assert answer.status_code == 206
        return answer.content, answer.headers["etag"]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    api, store = Api(), FilesystemLogStore(tmp_path / "logs")
    await store.announce(api.worker.host)
    cases = replace(
        api.use_cases(),
        read_log_bytes=ReadLogBytes(store),
        read_log_lines=ReadLogLines(store),
        follow_log=FollowLog(JobReads(api.history), LogPages(store), store, api.notifier),
    )
    server = HttpServer(create_app(cases, HttpConfig(), api.meters, api.tracer), "127.0.0.1", 0)
    headers = {"Authorization": f"Bearer {await api.key(Scope.ADMIN)}"}
    address = f"http://127.0.0.1:{await server.start()}"
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=PATIENCE) as client:
        made = await client.post("/api/v1/jobs", json={"script": "load.py"})
        running = await api.start(made.json()["id"])
        await store.announce((running.worker or "").rpartition(":")[0])
        file = store.target(LogRef(job_id=running.id, fence=running.fence))
        writer = LogWriter(file)
        for begin in range(0, len(TEXT), 100_000):
            writer.write(Stream.STDOUT, TEXT[begin : begin + 100_000])
        writer.close()
        for written in (file, file.with_suffix(".idx")):
            os.utime(written, (1, 1))
        ending = succeeded()
        ended = await api.end(running, replace(ending, exit=replace(ending.exit, log_bytes=len(TEXT))))
        yield Site(api, client, ended, file)
    await server.stop()


# -- F48: retention ----------------------------------------------------------------------------------------


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    kind = ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        kind = value if name == "event" else kind
        if name == "data":
            yield kind, json.loads(value)


async def test_f48_a_log_that_retention_deletes_while_it_is_followed_ends_with_an_event(site: Site) -> None:
    """F48: whole lines without a gap, then `gone`, then `end`; whoever asks later gets 410."""
    async with asyncio.timeout(PATIENCE), site.client.stream("GET", f"{site.url}/stream") as answer:
        told: list[tuple[str, Any]] = []
        async for event in events(answer):
            told.append(event)
            if len(told) == 3:  # the server is held up by the network: it cannot be far ahead
                await site.prune()
    kinds = [kind for kind, _ in told]
    lines = [data["text"] for kind, data in told if kind == "line"]
    assert kinds[-2:] == ["gone", "end"]
    assert told[-2][1]["code"] == "log-gone"
    assert len(lines) < LINES
    assert "".join(f"{line}\n" for line in lines).encode() == TEXT[: sum(len(line) + 1 for line in lines)]
    for headers in ({}, NDJSON, {"Range": "bytes=0-9"}):
        late = await site.client.get(site.url, headers=headers)
        assert (late.status_code, late.json()["code"]) == (410, "log-gone")


async def test_f48_a_download_that_has_begun_is_finished_and_the_next_is_410(site: Site) -> None:
    """F48: the reader has the file open."""
    async with site.client.stream("GET", site.url) as answer:
        pieces = answer.aiter_bytes()
        data = await anext(pieces)
        await site.prune()
        data += b"".join([piece async for piece in pieces])
    assert data == TEXT
    assert (await site.client.get(site.url)).status_code == 410


class PrunedAfterMeasuring(FilesystemLogStore):
    """Retention comes between the look at the size and the opening."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.upkeep = FilesystemLogUpkeep(directory)

    async def extent(self, ref: LogRef, stream: Stream | None = None) -> Any:
        found = await super().extent(ref, stream)
        await self.upkeep.prune(ref.job_id)
        return found


async def test_f48_a_log_that_goes_before_its_first_byte_is_410_and_no_torn_download(site: Site) -> None:
    """F48: no status 200 with a length that nothing follows."""
    store = PrunedAfterMeasuring(site.directory)
    cases = replace(site.api.use_cases(), read_log_bytes=ReadLogBytes(store))
    app: Any = create_app(cases, HttpConfig(), site.api.meters, site.api.tracer)
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": site.client.headers["Authorization"]}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        assert (await client.get(site.url)).status_code == 410


# -- F49: compression --------------------------------------------------------------------------------------


async def compressed(site: Site, last: str = "") -> int:
    """The status of a process that does it, or that is killed at its so manieth change."""
    process = await compressor(site, last)
    async with asyncio.timeout(PATIENCE):
        return await process.wait()


async def compressor(site: Site, last: str = "") -> Process:
    arguments = [compressing.__file__, str(site.directory), *([last] if last else [])]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment)


async def test_f49_ranges_are_the_same_while_a_log_is_compressed_whoever_is_killed(site: Site) -> None:
    """F49: bytes and ETag by offset, before, during and after, with kill -9 of who compresses."""
    places = [(0, 50), (len(TEXT) // 2, len(TEXT) // 2 + 1_000_000), (len(TEXT) - 9, len(TEXT))]
    etags = set[str]()
    reads = 0

    async def look() -> None:
        nonlocal reads
        for start, stop in places:
            data, etag = await site.range(start, stop)
            assert data == TEXT[start:stop]
            etags.add(etag)
            reads += 1

    await look()
    for last in ("3", "6", "8", "12", "15"):
        assert await compressed(site, last) == -signal.SIGKILL
        assert site.file.exists()
        await look()
    process = await compressor(site)
    while process.returncode is None:
        await look()
        await asyncio.sleep(0)
    assert process.returncode == 0
    assert not site.file.exists()
    await look()
    assert len(etags) == 1
    assert reads > 3 * 5


async def test_f49_lines_tail_and_search_go_on_by_their_cursors_in_the_compressed_log(site: Site) -> None:
    """F49: a cursor from before the compression is one after it."""
    first = await site.client.get(site.url, params={"limit": 1000}, headers=NDJSON)
    after = {"after": first.headers["x-next-cursor"], "limit": 1000}
    asked: list[dict[str, Any]] = [after, {"tail": 7}, {"contains": "000000079999"}]
    before = [(await site.client.get(site.url, params=one, headers=NDJSON)).content for one in asked]
    assert await compressed(site) == 0
    assert not site.file.exists()
    for one, content in zip(asked, before, strict=True):
        assert (await site.client.get(site.url, params=one, headers=NDJSON)).content == content
    tail = await site.client.get(site.url, params={"tail": 1000, "limit": 1}, headers=NDJSON)
    live = site.client.stream("GET", f"{site.url}/stream?after={tail.headers['x-next-cursor']}")
    async with asyncio.timeout(PATIENCE), live as answer:
        lines = [data["text"] async for kind, data in events(answer) if kind == "line"]
    assert [f"{line}\n".encode() for line in lines] == TEXT.splitlines(keepends=True)[-999:]


@dataclass
class Pages:
    """A reader who reads the same again and again, until it has gone."""

    site: Site
    asked: dict[str, Any]
    expected: list[str]
    count: int = 0

    async def read(self, gone: asyncio.Event) -> None:
        after, seen = None, list[str]()
        while True:
            params = {**self.asked, **({} if after is None else {"after": after})}
            answer = await self.site.client.get(self.site.url, params=params, headers=NDJSON)
            if answer.status_code == 410:
                assert answer.json()["code"] == "log-gone"
                assert gone.is_set()
                return
            assert answer.status_code == 200
            self.count += 1
            lines = [json.loads(line) for line in answer.content.splitlines()]
            seen += [line["text"] for line in lines]
            assert seen == self.expected[: len(seen)]
            assert {line["stream"] for line in lines} <= {"stdout"}
            after = answer.headers["x-next-cursor"]
            if "link" not in answer.headers or "tail" in self.asked:
                assert seen == self.expected
                after, seen = None, []


async def test_f48_f49_pages_are_whole_lines_or_410_while_a_log_is_compressed_and_deleted(site: Site) -> None:
    """F48, F49: readers by cursor, from the end and by text, beside both."""
    whole = TEXT.decode().splitlines()
    readers = (
        Pages(site, {"limit": 10_000}, whole),
        Pages(site, {"tail": 500}, whole[-500:]),
        Pages(site, {"contains": "00007999"}, [line for line in whole if "00007999" in line]),
    )
    gone = asyncio.Event()
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as reading:
        for reader in readers:
            reading.create_task(reader.read(gone))
        assert await compressed(site, "6") == -signal.SIGKILL
        assert await compressed(site) == 0
        before = [reader.count for reader in readers]
        # read as it is now, too
        await eventually(lambda: all(r.count > count + 5 for r, count in zip(readers, before, strict=True)))
        gone.set()
        await site.prune()

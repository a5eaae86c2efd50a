"""A log that retention deletes while somebody reads it: told as such, and nothing else breaks."""

import asyncio
import json
from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest

from adapters.filesystem.log_upkeep import FilesystemLogUpkeep
from tests.e2e.installation import Installation
from tests.faults.node import Place

LINES = 200_000
BODY = "x" * 100
"""Far more than server, sockets and client hold together, so the log is deleted before it is all read."""


@pytest.fixture
def own(place: Place) -> Iterator[Installation]:
    """Nothing that is done to its logs may be a fault of the server."""
    installation = Installation(place.directory)
    yield installation
    installation.stop()
    assert "Traceback" not in (place.directory / "serve.log").read_text()


def prune(own: Installation, job_id: str) -> None:
    """As the duty of `retention.logs` does it."""
    asyncio.run(FilesystemLogUpkeep(own.data / "logs").prune(UUID(job_id)))


def events(answer: httpx.Response) -> Iterator[tuple[str, str]]:
    """(event, data) of a stream, without comments, until it ends."""
    event: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif "event" in event:
            yield event["event"], event["data"]
            event = {}


def test_f48_a_live_reader_of_an_ended_job_is_told_that_its_log_has_gone(own: Installation) -> None:
    own.serve()
    script = own.script("much.py", f"for n in range({LINES}): print(n, {BODY!r})\n")
    job_id = own.submit(script=script)
    assert own.ended(job_id)["state"] == "succeeded"
    with own.http() as http, http.stream("GET", f"/jobs/{job_id}/log/stream") as answer:
        coming = events(answer)
        texts = [
            json.loads(data)["text"] for name, data in (next(coming) for _ in range(20)) if name == "line"
        ]
        prune(own, job_id)
        names, gone = [], ""
        for name, data in coming:
            if name == "line":
                texts.append(json.loads(data)["text"])
            else:
                names.append(name)
                gone = data if name == "gone" else gone
    assert texts == [f"{n} {BODY}" for n in range(len(texts))]
    assert len(texts) < LINES
    assert names == ["gone", "end"]
    assert json.loads(gone)["code"] == "log-gone"
    with own.http() as http:
        answer = http.get(f"/jobs/{job_id}/log")
        assert (answer.status_code, answer.json()["code"]) == (410, "log-gone")


def test_f48_a_live_reader_of_a_running_job_gets_to_its_end(own: Installation) -> None:
    gate = own.directory / "gate"
    script = own.script("wait.sh", f"echo begun; until [ -e {gate} ]; do sleep 0.05; done; echo ended\n")
    own.serve()
    job_id = own.submit(script=script)
    with own.http() as http, http.stream("GET", f"/jobs/{job_id}/log/stream") as answer:
        names = []
        for name, _ in events(answer):
            names.append(name)
            if name == "line":
                prune(own, job_id)
                gate.touch()
    assert names[-1] == "end"
    assert own.job(job_id)["state"] == "succeeded"


def test_f48_a_reader_of_bytes_never_takes_what_was_cut_off_for_the_whole(own: Installation) -> None:
    own.serve()
    script = own.script("much.py", f"for n in range({LINES}): print(n, {BODY!r})\n")
    job_id = own.submit(script=script)
    assert own.ended(job_id)["state"] == "succeeded"
    got = 0
    try:
        with own.http() as http, http.stream("GET", f"/jobs/{job_id}/log") as answer:
            whole = int(answer.headers["Content-Length"])
            for piece in answer.iter_raw(65536):
                if not got:
                    prune(own, job_id)
                got += len(piece)
    except httpx.RemoteProtocolError:
        assert got < whole
    else:
        assert got == whole
    assert own.call("GET", f"/jobs/{job_id}")["state"] == "succeeded"

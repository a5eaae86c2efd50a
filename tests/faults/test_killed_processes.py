"""kill -9 of the server, of its database, of a worker, of the API: what was answered stays true."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import psycopg
import pytest

from domain.event import EventKind
from domain.job import JobState
from tests.contract.postgres_kernel import PostgresKernel
from tests.e2e.installation import Installation, until
from tests.faults.node import Place
from tests.faults.proxy import Proxy
from tests.faults.waiting import ended, eventually
from tests.faults.worker_process import gone, worker_process

REQUEST = {"script": "quick.sh", "not_before": "2099-01-01T00:00:00Z"}


@pytest.fixture
def own(place: Place) -> Iterator[Installation]:
    installation = Installation(place.directory)
    yield installation
    installation.stop()


@dataclass
class Clients:
    """Submit without a pause, each in a thread of its own, and keep what they were answered."""

    own: Installation
    accepted: set[str] = field(default_factory=set)
    refused: list[httpx.Response] = field(default_factory=list)
    _enough: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._submit) for _ in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def has(self, more: int) -> None:
        goal = len(self.accepted) + more
        until(lambda: len(self.accepted) >= goal or None, f"{more} more jobs to be accepted")

    def _submit(self) -> None:
        with self.own.http() as http:
            while not self._enough.is_set():
                try:
                    answer = http.post("/jobs", json=REQUEST)
                except httpx.HTTPError:
                    return  # the server is gone: nothing was answered
                if answer.status_code == 201:
                    self.accepted.add(answer.json()["id"])
                else:
                    self.refused.append(answer)


def stored(own: Installation) -> set[str]:
    found: set[str] = set()
    page: dict[str, Any] = own.call("GET", "/jobs", limit=200)
    while True:
        found |= {job["id"] for job in page["items"]}
        if page["next_cursor"] is None:
            return found
        page = own.call("GET", "/jobs", limit=200, cursor=page["next_cursor"])


def test_f01_every_job_that_was_answered_201_is_there_after_kill_9_of_the_server(own: Installation) -> None:
    """F01, in the middle of a stream of requests, three times over."""
    process = own.serve()
    accepted: set[str] = set()
    for _ in range(3):
        with Clients(own) as clients:
            clients.has(40)
            own.crash(process)
        accepted |= clients.accepted
        process = own.serve()
        assert accepted <= stored(own)


def test_f02_the_server_outlives_kill_9_of_its_database_and_says_503_meanwhile(own: Installation) -> None:
    """F02: the same data, and `Retry-After` for whoever came in between."""
    own.serve()
    with Clients(own) as clients:
        for _ in range(2):
            clients.has(40)
            pid_file = own.data / "postgres/cluster/postmaster.pid"
            os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)
        clients.has(40)
    assert clients.accepted <= stored(own)
    assert clients.refused
    for answer in clients.refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.usefixtures("rescuing")
async def test_f07_a_worker_killed_between_its_claim_and_the_start_costs_no_attempt(
    kernel: PostgresKernel, proxy: Proxy, place: Place, database_url: str
) -> None:
    """F07: the claim is committed, the worker never hears of it."""
    job = place.job("quick.sh")
    await kernel.queue.submit([job])
    with worker_process(place, proxy.url) as worker:

        async def claimed() -> bool:
            if EventKind.CLAIMED not in {e.kind for e in await kernel.history.events(job.id)}:
                return False
            worker.kill()
            return True

        proxy.lose_answer = claimed
        assert await gone(worker) == -signal.SIGKILL
    with worker_process(place, database_url, name="other"):
        after = await ended(kernel, job.id)
    assert (after.state, after.attempt, after.fence) == (JobState.SUCCEEDED, 1, 2)
    kinds = [event.kind for event in await kernel.history.events(job.id)]
    assert kinds.count(EventKind.PUT_BACK) == 1


async def test_f66_a_worker_killed_between_the_end_and_the_report_costs_nothing(
    kernel: PostgresKernel, proxy: Proxy, place: Place, database_url: str
) -> None:
    """F66: the supervisor's record is reported by the next life of the worker; the job is not `lost`."""
    job = place.job()
    with worker_process(place, proxy.url) as worker:
        await kernel.queue.submit([job])
        await eventually(lambda: place.marks(job.id))
        proxy.swallow()
        place.gate.touch()
        await eventually(lambda: place.marks(job.id)[-1][0] == "end")
        worker.kill()
        await gone(worker)
    proxy.pass_on()
    proxy.cut()
    assert (await kernel.history.get(job.id)).state is JobState.RUNNING
    with worker_process(place, database_url):
        after = await ended(kernel, job.id)
    assert (after.state, after.attempt, after.fence) == (JobState.SUCCEEDED, 1, 1)


COUNT = "i=0; while [ $i -lt {many} ]; do echo $i; i=$((i+1)); done\n"


def test_f63_workers_outlive_the_api_and_a_log_is_resumed_without_gap_or_double(
    own: Installation, database_url: str
) -> None:
    """F63: kill -9 of the API while a log is followed; `Last-Event-ID` goes on from the last line."""
    gate = own.directory / "gate"
    wait = f"until [ -e {gate} ]; do sleep 0.05; done\n"
    script = own.script("count.sh", COUNT.format(many=100) + wait + COUNT.format(many=100))
    own.flags += [f"--database.url={database_url}", f"--logs.directory={own.directory / 'logs'}"]
    api = own.serve("api")
    own.spawn("worker", f"--data.directory={own.directory / 'worker'}")
    job_id = own.submit(script=script)
    first = list(follow(own, job_id, None, 60))
    assert [text for text, _ in first] == [str(n) for n in range(60)]
    own.crash(api)
    gate.touch()
    until(lambda: final_state(database_url), "the worker to end the job")
    own.serve("api")
    rest = list(follow(own, job_id, first[-1][1], None))
    assert [text for text, _ in (*first, *rest)] == [str(n) for n in range(100)] * 2
    assert own.job(job_id)["state"] == "succeeded"


def follow(own: Installation, job_id: str, after: str | None, lines: int | None) -> Iterator[tuple[str, str]]:
    """(text, id) of the events of a live log, `lines` of them, or all up to its end."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
    with own.http() as http, http.stream("GET", f"/jobs/{job_id}/log/stream", headers=headers) as answer:
        assert answer.status_code == 200
        event: dict[str, str] = {}
        seen = 0
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            event[name] = value
            if line:
                continue
            if event.get("event") == "line":
                seen += 1
                yield json.loads(event["data"])["text"], event["id"]
            if event.get("event") == "end" or seen == lines:
                return
            event = {}


def final_state(url: str) -> str | None:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT final_state FROM etl.job_end").fetchone()
        return None if row is None else row[0]

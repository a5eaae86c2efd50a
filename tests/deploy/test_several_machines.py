"""One database and one API for several machines, one of which is cut off: docs/several-machines.md."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from adapters.postgres.migrate import migrate
from domain.attempt import Outcome
from domain.event import EventKind
from domain.job import JobState
from tests.contract.postgres_kernel import PostgresKernel, postgres_kernel
from tests.deploy.network import Machine, Network, why_not
from tests.embedded_server import Server
from tests.faults.node import Place
from tests.faults.waiting import ended, eventually, until
from tests.faults.worker_process import ETL, worker_process

API_PORT = 8000
AT_ONCE = {"max_attempts": 2, "delay_seconds": 0, "jitter": 0}


@pytest.fixture
def network() -> Iterator[Network]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    network = Network()
    yield network
    network.remove()


class Site:
    """PostgreSQL and the API on the machine `center`; workers are plugged in by tests."""

    def __init__(self, network: Network, place: Place, stack: ExitStack) -> None:
        self.network, self.place = network, place
        self.center = network.plug_in("center")
        self.server = Server(listen=self.center.address)
        stack.callback(self.server.stop)
        with self.center.entered():
            self.server.start()
        self.url = f"postgresql://etl@{self.center.address}/postgres"
        self._stack = stack

    def start_api(self) -> None:
        flags = {
            "database.url": self.url,
            "data.directory": self.place.directory / "api",
            "scripts.directory": self.place.scripts,
            "logs.directory": self.place.directory / "logs",
            "http.host": self.center.address,
            "http.port": API_PORT,
        }
        argv = [
            sys.executable,
            "-I",
            str(ETL),
            "api",
            *(f"--{name}={value}" for name, value in flags.items()),
        ]
        with self.center.entered(), (self.place.directory / "api.log").open("ab") as log:
            api = subprocess.Popen(argv, cwd=self.place.directory, stdout=log, stderr=log)
        self._stack.callback(api.wait, 60)
        self._stack.callback(api.terminate)

    def call(self, machine: Machine, method: str, path: str, body: object = None) -> Any:
        """As a program on that machine asks the API."""
        key = (self.place.directory / "api" / "admin.key").read_text().strip()
        with machine.entered(), httpx.Client(trust_env=False) as http:
            url = f"http://{self.center.address}:{API_PORT}/api/v1{path}"
            answer = http.request(method, url, json=body, headers={"Authorization": f"Bearer {key}"})
        assert not answer.is_error, answer.text
        return answer.json()


@pytest.fixture
def site(network: Network, place: Place) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(network, place, stack)


@pytest.mark.timeout(300)
async def test_a_machine_whose_packets_are_dropped_stops_its_program_before_another_begins_it(
    site: Site, place: Place
) -> None:
    """The one that is cut off was the leader of maintenance too. What nobody else may begin goes on there,
    and is reported when the network is whole again. The database forgets the connections that lead nowhere.
    """
    await migrate(site.server.url)
    site.start_api()
    one, two = site.network.plug_in("one"), site.network.plug_in("two")
    await eventually((place.directory / "api" / "server.json").exists)
    with ExitStack() as stack:
        async with postgres_kernel(site.server.url) as kernel:
            with one.entered():
                first = stack.enter_context(worker_process(place, site.url, name="one"))
            repeatable = submitted(site, two, {"script": "wait", "retry": AT_ONCE})
            last = submitted(site, two, {"script": "wait"})
            for job_id in (repeatable, last):
                await eventually(partial(place.marks, job_id))
            with two.entered():
                second = stack.enter_context(worker_process(place, site.url, name="two"))
            await until(lambda: has_workers(kernel, 2))
            site.network.cut("one")
            await eventually(lambda: place.marks(repeatable, 2))
            assert place.marks(repeatable, 1)[-1][1] < place.marks(repeatable, 2)[0][1]
            assert place.marks(repeatable, 1)[-1][0] == "tick"
            await eventually(lambda: not connected(site, one))
            site.network.mend("one")
            await until(lambda: has_workers(kernel, 2))
            place.gate.touch()
            again, only = await ended(kernel, repeatable), await ended(kernel, last)
            lost, good = await kernel.history.attempts(repeatable)
            events = [event.kind for event in await kernel.history.events(repeatable)]
    assert (again.state, again.fence) == (JobState.SUCCEEDED, 2)
    assert (only.state, only.fence) == (JobState.SUCCEEDED, 1)
    assert lost.ending is not None
    assert lost.ending.outcome is Outcome.LOST
    pids = [attempt.worker.rpartition(":")[2] for attempt in (lost, good)]
    assert pids == [str(first.pid), str(second.pid)]
    assert events.count(EventKind.STARTED) == 2
    assert set(place.ledger.entries()[repeatable]) == {1, 2}
    assert set(place.ledger.entries()[last]) == {1}


def connected(site: Site, machine: Machine) -> int:
    """What PostgreSQL itself believes of that machine's connections."""
    with psycopg.connect(site.server.url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s::inet"
        row = connection.execute(query, (machine.address,)).fetchone()
    assert row is not None
    return int(row[0])


def submitted(site: Site, machine: Machine, request: dict[str, object]) -> UUID:
    return UUID(site.call(machine, "POST", "/jobs", request)["id"])


async def has_workers(kernel: PostgresKernel, count: int) -> bool:
    return len(await kernel.registry.list()) == count

"""Two APIs and two workers, restarted one after the other under load: nothing is lost, no answer is torn."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import pytest

from tests.e2e.installation import Installation, until

PAUSE = 0.2
LINES = 200
NOTE = """
echo "$ETL_JOB_ID" >> {ledger}
sleep 0.1
"""
TALK = """
touch {begun}
line=1
while [ $line -le {lines} ] || ! [ -e {gate} ]; do echo "line $line"; line=$((line + 1)); sleep 0.05; done
"""


@dataclass
class Site:
    """`api` by port: restarted, each listens where it was."""

    own: Installation
    ports: tuple[int, int]
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str) -> None:
        if name.isdecimal():
            self.running[name] = self.own.spawn("api", f"--http.port={name}")
            until(lambda: True if answers(int(name)) else None, "an API to listen")
        else:
            data = self.own.directory / name
            self.running[name] = self.own.spawn("worker", "--worker.slots=4", f"--data.directory={data}")

    def restart(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        assert process.wait(60) == 0
        self.own.processes.remove(process)
        self.start(name)

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.ports[number % 2]}"

    def key(self) -> str:
        return (self.own.data / "admin.key").read_text().strip()


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@dataclass
class Load:
    """Clients that submit all the time, each now to the one API and now to the other, on connections that
    they keep. Only a refused connection and 503 with Retry-After may be tried again.
    """

    site: Site
    script: str
    size: int
    over: threading.Event = field(default_factory=threading.Event)
    accepted: list[str] = field(default_factory=list)
    refused: int = 0
    broken: list[str] = field(default_factory=list)

    @contextmanager
    def going(self) -> Iterator[None]:
        clients = [threading.Thread(target=self._client, args=(number,)) for number in range(self.size)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self.over.set()
            for client in clients:
                client.join()

    def _client(self, number: int) -> None:
        headers = {"Authorization": f"Bearer {self.site.key()}"}
        with httpx.Client(headers=headers, trust_env=False, timeout=60) as http:
            turn = number
            while not self.over.wait(PAUSE):
                turn += 1
                try:
                    self._told(http.post(f"{self.site.url(turn)}/api/v1/jobs", json={"script": self.script}))
                except httpx.ConnectError:
                    self.refused += 1
                except httpx.TransportError as error:
                    self.broken.append(repr(error))

    def _told(self, answer: httpx.Response) -> None:
        if answer.status_code == 201:
            self.accepted.append(answer.json()["id"])
        elif answer.status_code != 503 or "retry-after" not in answer.headers:
            self.broken.append(f"{answer.status_code} {answer.text}")


def test_a_rolling_restart_under_load_loses_nothing_and_tears_no_answer(
    own: Installation, database_url: str, request: pytest.FixtureRequest
) -> None:
    rounds, clients = (request.config.getoption(f"--restart-{what}") for what in ("rounds", "clients"))
    ledger, begun, gate = (own.directory / name for name in ("ledger", "begun", "gate"))
    note = own.script("note.sh", NOTE.format(ledger=ledger))
    talk = own.script("talk.sh", TALK.format(lines=LINES, begun=begun, gate=gate))
    own.flags += [f"--database.url={database_url}", f"--logs.directory={own.directory / 'logs'}"]
    site = Site(own, (free_port(), free_port()))
    names = (*map(str, site.ports), "one", "two")
    for name in names:
        site.start(name)
    own.environ |= {"ETL_URL": site.url(0), "ETL_API_KEY": site.key()}
    load = Load(site, note, clients)
    with load.going(), copy_of(own, talk) as copied:
        until(lambda: True if begun.exists() else None, "the script to talk")
        for name in names * rounds:
            before = len(load.accepted)
            site.restart(name)
            until(lambda: True if len(load.accepted) > before + clients else None, "submits to go on")  # noqa: B023 - asked here
        gate.touch()
        out, err = copied.communicate(timeout=60)
    assert load.broken == []
    assert load.refused, "no API was away: nothing was shown"
    assert ends(site, load.accepted) == {("succeeded", 1)}
    assert sorted(ledger.read_text().split()) == sorted(load.accepted)
    assert copied.returncode == 0, err
    lines = out.decode().splitlines()
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert len(lines) >= LINES
    assert b"the server restarts" in err


@contextmanager
def copy_of(own: Installation, script: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`etl run` of a script that talks through all restarts."""
    process = subprocess.Popen(
        own.argv("run", script),
        cwd=own.directory,
        env=own.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def ends(site: Site, job_ids: list[str]) -> set[tuple[str, int]]:
    """State and number of attempts, once each has ended."""
    headers = {"Authorization": f"Bearer {site.key()}"}
    with httpx.Client(base_url=site.url(0), headers=headers, trust_env=False, timeout=70) as http:
        jobs = [http.get(f"/api/v1/jobs/{job_id}", params={"wait": 60}).json() for job_id in job_ids]
    return {(job["state"], job["attempt"]) for job in jobs}

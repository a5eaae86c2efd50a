"""An API and a worker that share the database and no directory, as on two machines without a shared disk."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import Installation


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Installation]:
    """The machine that runs programs."""
    (tmp_path / "other").mkdir()
    installation = Installation(tmp_path / "other")
    yield installation
    installation.stop()


def test_a_log_that_lies_on_another_machine_is_said_to_be_there(
    own: Installation, other: Installation, database_url: str
) -> None:
    own.flags = other.flags = [f"--database.url={database_url}"]
    for installation in (own, other):
        installation.script("hello.sh", "echo hello; exit 3\n")
    own.serve("api")
    other.spawn("worker")
    run = own.etl("run", "hello.sh")
    assert (run.returncode, run.stdout) == (3, b"")
    where = f"This log was written on {socket.gethostname()}, whose log directory this server does not see"
    assert where in run.stderr.decode()
    job_id = own.call("GET", "/jobs")["items"][0]["id"]
    logs = own.etl("logs", job_id)
    assert logs.returncode == 1
    assert where in logs.stderr.decode()
    with own.http() as http:
        answer = http.get(f"/jobs/{job_id}/log")
        live = http.get(f"/jobs/{job_id}/log/stream").text
    assert (answer.status_code, answer.json()["code"]) == (421, "log-elsewhere")
    assert where in answer.json()["detail"]
    assert "event: gone" in live
    assert where in live
    assert "event: end" in live
    assert own.job(job_id)["reason"]["last_lines"] == ["hello"]  # wherever it ran


def test_a_server_on_that_machine_shows_it(own: Installation, other: Installation, database_url: str) -> None:
    own.flags = other.flags = [f"--database.url={database_url}"]
    for installation in (own, other):
        installation.script("hello.sh", "echo hello\n")
    own.serve("api")
    other.spawn("worker")
    job_id = own.submit(script="hello.sh")
    assert own.ended(job_id)["state"] == "succeeded"
    other.serve("api")
    key = (own.data / "admin.key").read_text().strip()
    url = f"{other.server['url']}/api/v1/jobs/{job_id}/log"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    assert answer.text == "hello\n"

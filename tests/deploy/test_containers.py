"""Dockerfile and compose.yaml, built and run for real where there is a Docker engine."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.docker import POSTGRES_IMAGE, PYTHON_IMAGE, compose, docker, why_not
from tests.e2e.installation import ROOT, until

PROJECT = f"etltest{os.getpid()}"
IMAGE = f"etl-orchestrator:test-{os.getpid()}"
MEGABYTE = 1_000_000
SCRIPT = 'echo "from $(hostname)"; sleep 0.5\n'
FINAL = ("succeeded", "failed", "cancelled")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if (reason := why_not(PYTHON_IMAGE, POSTGRES_IMAGE)) is not None:
        pytest.skip(reason)
    subprocess.run([str(ROOT / "deploy/build-image"), IMAGE], check=True, timeout=900)
    yield IMAGE
    docker("image", "rm", "--force", IMAGE)


@dataclass
class Site:
    """What `docker compose up` made."""

    environment: dict[str, str]

    def compose(self, *arguments: str) -> str:
        return compose(PROJECT, *arguments, environment=self.environment)

    def containers(self, part: str) -> list[str]:
        return self.compose("ps", "--quiet", part).split()

    def etl(self, *arguments: str) -> Any:
        return json.loads(docker("exec", *self.containers("api"), "etl", *arguments, "--json"))

    def call(self, method: str, path: str, body: object = None, **params: Any) -> Any:
        key = docker("exec", *self.containers("api"), "cat", "/var/lib/etl/admin.key")
        url = f"http://127.0.0.1:{self.environment['ETL_PORT']}{path}"
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(trust_env=False, timeout=70) as http:
            answer = http.request(method, url, json=body, params=params, headers=headers)
        assert not answer.is_error, answer.text
        return answer.text if answer.headers["content-type"].startswith("text/") else answer.json()

    def ended(self, job_id: str) -> Any:
        return until(lambda: self._final(job_id), f"job {job_id} to end")

    def _final(self, job_id: str) -> Any:
        job = self.call("GET", f"/api/v1/jobs/{job_id}")
        return job if job["state"] in FINAL else None


@pytest.fixture
def site(image: str, tmp_path: Path) -> Iterator[Site]:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "where.sh").write_text(SCRIPT)
    for path in (tmp_path.parent, tmp_path):
        path.chmod(0o755)
    environment = {"ETL_IMAGE": image, "SCRIPTS": str(scripts), "ETL_PORT": str(free_port())}
    site = Site({**environment, "POSTGRES_IMAGE": POSTGRES_IMAGE})
    try:
        site.compose("up", "--detach", "--no-build")
        yield site
    finally:
        site.compose("down", "--volumes", "--timeout", "10")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def healthy(*containers: str) -> bool | None:
    """Once the HEALTHCHECK of each has said so."""
    found = [docker("inspect", "--format", "{{.State.Health.Status}}", name) for name in containers]
    return True if set(found) == {"healthy"} else None


@pytest.mark.timeout(1800)
def test_the_image_is_small_and_serves_alone_and_with_others(image: str, site: Site) -> None:
    """One test, for one build: tests that run side by side would each make an image."""
    assert_small(image)
    assert_serves_alone(image)
    assert_serves_with_others(site)


def assert_small(image: str) -> None:
    ours, base = (int(docker("image", "inspect", "--format", "{{.Size}}", n)) for n in (image, PYTHON_IMAGE))
    assert ours - base < 200 * MEGABYTE


def assert_serves_with_others(site: Site) -> None:
    """One command has brought up database, API and two workers."""
    (api,), workers = site.containers("api"), site.containers("worker")
    until(lambda: healthy(api, *workers), "all parts to be healthy")
    assert len(workers) == 2
    batch = {"jobs": [{"script": "where.sh"} for _ in range(16)]}
    accepted = [job["id"] for job in site.call("POST", "/api/v1/jobs/batch", batch)["jobs"]]
    jobs = [site.ended(job_id) for job_id in accepted]
    assert {job["state"] for job in jobs} == {"succeeded"}
    logs = {site.call("GET", f"/api/v1/jobs/{job_id}/log") for job_id in accepted}
    assert logs == {f"from {name[:12]}\n" for name in workers}
    assert {row["state"] for row in site.etl("workers")} == {"up"}
    for name in (api, *workers):
        assert_unprivileged(name)
    assert_stops_in_order(site, workers)


def assert_unprivileged(container: str) -> None:
    status = docker("exec", container, "cat", "/proc/1/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines())
    assert facts["Uid"].split() == ["10001"] * 4
    assert (int(facts["CapEff"], 16), facts["NoNewPrivs"]) == (0, "1")
    assert "Read-only" in docker("exec", container, "sh", "-c", "touch /opt/x 2>&1 || true")


def assert_stops_in_order(site: Site, workers: list[str]) -> None:
    """SIGTERM passes process 1 and lets end what runs."""
    job_id = site.call("POST", "/api/v1/jobs", {"script": "where.sh"})["id"]
    until(lambda: site.call("GET", f"/api/v1/jobs/{job_id}")["started_at"], "the job to start")
    site.compose("stop", "worker")
    assert {docker("inspect", "--format", "{{.State.ExitCode}}", name) for name in workers} == {"0"}
    assert site.ended(job_id)["state"] == "succeeded"


def assert_serves_alone(image: str) -> None:
    """With its embedded database, without a capability, on a read-only file system."""
    hard = ("--read-only", "--tmpfs=/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    name = docker("run", "--detach", *hard, "--volume", f"{ROOT}/examples/scripts:/scripts:ro", image)
    try:
        until(lambda: healthy(name), "the server to be healthy")
        assert "all children have ended" in docker("exec", name, "etl", "run", "forks_children.py")
        docker("stop", "--time", "90", name)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", name) == "0"
    finally:
        docker("rm", "--force", "--volumes", name)

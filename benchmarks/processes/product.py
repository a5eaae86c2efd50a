"""The whole product as a process: HTTP submit, PostgreSQL, supervisor, log, report."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

COMMAND_LINE = Path(__file__).parents[2] / "src" / "entrypoints" / "cli" / "__main__.py"
START_SECONDS = 90.0
BATCH = 1000
LOOK_SECONDS = 0.02
REST_SECONDS = 0.05


@contextmanager
def served(directory: Path, slots: int) -> Iterator[httpx.Client]:
    settings = {
        "data.directory": directory / "data",
        "scripts.directory": directory / "scripts",
        "scripts.allow_commands": "on",
        "http.port": 0,
        "http.rate_limit": "off",
        "worker.slots": slots,
        "telemetry.log_format": "json",
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    with (directory / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", str(COMMAND_LINE), "serve", *flags], cwd=directory, stdout=log, stderr=log
        )
    try:
        with _client(directory / "data", process) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def _client(data: Path, process: subprocess.Popen[bytes]) -> httpx.Client:
    until = time.monotonic() + START_SECONDS
    while not (data / "server.json").exists():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit("etl serve did not start:\n" + (data.parent / "serve.log").read_text())
        time.sleep(LOOK_SECONDS)
    url = json.loads((data / "server.json").read_text())["url"]
    key = (data / "admin.key").read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=60)


def run(client: httpx.Client, program: Sequence[str], jobs: int) -> float:
    """Seconds from the first submit until every job is final, all of them succeeded."""
    began = time.monotonic()
    asked = [{"command": list(program)}] * jobs
    ids = [
        job["id"]
        for first in range(0, jobs, BATCH)
        for job in _ok(client.post("/jobs/batch", json={"jobs": asked[first : first + BATCH]}))["jobs"]
    ]
    while not _ok(client.get(f"/jobs/{ids[-1]}", params={"wait": 60}))["finished_at"]:
        pass
    while any(queue["waiting"] or queue["running"] for queue in _ok(client.get("/queues"))["items"]):
        time.sleep(LOOK_SECONDS)
    seconds = time.monotonic() - began
    for job_id in ids[:: max(1, jobs // 20)]:
        state = _ok(client.get(f"/jobs/{job_id}"))["state"]
        if state != "succeeded":
            raise SystemExit(f"job {job_id} is {state}")
    return seconds


def starts(client: httpx.Client, jobs: int) -> list[float]:
    """Seconds from the submit to the program's own look at the clock, one job after the other."""
    delays = []
    for _ in range(jobs):
        time.sleep(REST_SECONDS)
        asked = time.time_ns()
        job = _ok(client.post("/jobs", json={"command": ["/bin/date", "+%s%N"]}))
        ended = _ok(client.get(f"/jobs/{job['id']}", params={"wait": 30}))
        if ended["state"] != "succeeded":
            raise SystemExit(f"job {job['id']} is {ended['state']}")
        log = client.get(f"/jobs/{job['id']}/log", headers={"Accept": "text/plain"}).raise_for_status()
        delays.append((int(log.text) - asked) / 1e9)
    return delays


def _ok(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.raise_for_status().json()
    return body

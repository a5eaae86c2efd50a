"""The two servers, each a process of its own: `etl api`, and the bare handler."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.http.load import Request

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "src/entrypoints/cli/__main__.py"
POOL = 10


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    process: psutil.Process
    port: int
    key: str = ""

    @property
    def cpu(self) -> float:
        """Seconds so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def request(self, method: str, path: str, body: bytes = b"") -> Request:
        return Request(self.port, method, path, self.key, body)

    def submitted(self, job: dict[str, Any]) -> str:
        url = f"http://127.0.0.1:{self.port}/api/v1/jobs"
        answer = httpx.post(url, json=job, headers={"Authorization": f"Bearer {self.key}"}, trust_env=False)
        answer.raise_for_status()
        return str(answer.json()["id"])


@contextmanager
def product(url: str, directory: Path) -> Iterator[Served]:
    """As users run it, but for the limit of requests, which is what would be measured otherwise."""
    scripts = directory / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "load.py").write_text("")
    flags = [f"--database.url={url}", f"--database.pool={POOL}", "--http.port=0", "--http.rate_limit=off"]
    with (
        (directory / "api.log").open("wb") as log,
        _running([sys.executable, "-I", str(PROGRAM), "api", *flags], directory, log) as process,
    ):
        address = directory / ".etl/server.json"
        while not address.exists():
            if process.poll() is not None:
                raise SystemExit((directory / "api.log").read_text())
            time.sleep(0.05)
        port = int(json.loads(address.read_text())["url"].rpartition(":")[2])
        yield Served(psutil.Process(process.pid), port, (directory / ".etl/admin.key").read_text().strip())


@contextmanager
def bare(url: str) -> Iterator[Served]:
    argv = [sys.executable, "-m", "benchmarks.http.bare", url, str(POOL)]
    with _running(argv, ROOT, subprocess.PIPE) as process:
        if process.stdout is None or not (line := process.stdout.readline()):
            raise SystemExit("the bare handler did not start; its traceback stands above")
        yield Served(psutil.Process(process.pid), int(line))


@contextmanager
def _running(argv: list[str], directory: Path, out: Any) -> Iterator["subprocess.Popen[bytes]"]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    process = subprocess.Popen(
        argv, cwd=directory, env=kept, stdout=out, stderr=None if out is subprocess.PIPE else out
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)

"""One installation as a user has it: `etl serve` as a process, used by HTTP and by the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "src" / "entrypoints" / "cli" / "__main__.py"
PATIENCE = 90.0
FINAL = ("succeeded", "failed", "cancelled")
T = TypeVar("T")


def until(found: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """The first answer that is not None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (answer := found()) is not None:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")


@dataclass
class Installation:
    """In a directory of its own: `data`, and `scripts` that a test writes or brings."""

    directory: Path
    flags: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def scripts(self) -> Path:
        return self.directory / "scripts"

    @property
    def data(self) -> Path:
        return self.directory / ".etl"

    # -- processes ------------------------------------------------------------------------------

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-I", str(PROGRAM), *arguments]

    def environment(self) -> Mapping[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        # Tests ask again and again, faster than the default lets anybody.
        return {**kept, "ETL_HTTP__RATE_LIMIT": "100000/m", **self.environ}

    def spawn(self, command: str, *flags: str) -> "subprocess.Popen[bytes]":
        with (self.directory / f"{command}.log").open("ab") as log:
            process = subprocess.Popen(
                self.argv(command, *self.flags, *flags),
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def serve(self, command: str = "serve") -> "subprocess.Popen[bytes]":
        """Returns when it is ready."""
        process = self.spawn(command, "--http.port=0")

        def ready() -> bool | None:
            assert process.poll() is None, (self.directory / f"{command}.log").read_text()[-3000:]
            try:
                return True if self.server["pid"] == process.pid else None
            except FileNotFoundError:
                return None

        until(ready, "the server to be ready")
        return process

    def stop(self) -> None:
        """Everything, in an orderly way; fails where something has to be killed."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        self.processes.clear()

    def crash(self, process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.wait()
        self.processes.remove(process)

    # -- use ------------------------------------------------------------------------------------

    @property
    def server(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "server.json").read_text())
        return found

    def http(self) -> httpx.Client:
        key = (self.data / "admin.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(
            base_url=f"{self.server['url']}/api/v1", headers=headers, timeout=70, trust_env=False
        )

    def call(self, method: str, path: str, body: object = None, **params: Any) -> Any:
        with self.http() as http:
            answer = http.request(method, path, json=body, params=params)
        assert not answer.is_error, answer.text
        return answer.json()

    def submit(self, **request: Any) -> str:
        return str(self.call("POST", "/jobs", request)["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/jobs/{job_id}")
        return found

    def when(self, job_id: str, *states: str) -> dict[str, Any]:
        """The job once it is in one of these states."""

        def there() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] in states else None

        return until(there, f"job {job_id} to be {' or '.join(states)}")

    def ended(self, job_id: str) -> dict[str, Any]:
        return self.when(job_id, *FINAL)

    def log(self, job_id: str) -> str:
        with self.http() as http:
            return http.get(f"/jobs/{job_id}/log").text

    def etl(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            self.argv(*arguments),
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            timeout=100,
            check=False,
        )

    def script(self, name: str, text: str) -> str:
        self.scripts.mkdir(exist_ok=True)
        (self.scripts / name).write_text(text)
        return name

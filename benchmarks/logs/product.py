"""The product as a user has it: `etl serve` as a process, read over HTTP by plain sockets."""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from adapters.filesystem.log_compression import compressing

PROGRAM = Path(__file__).resolve().parents[2] / "src/entrypoints/cli/__main__.py"
STREAMS_A_KEY = 20
NDJSON = {"Accept": "application/x-ndjson"}


class Product:
    """One server. `close` stops it."""

    def __init__(self, directory: Path, *flags: str) -> None:
        self._directory = directory
        argv = [sys.executable, "-I", str(PROGRAM), "serve", "--http.port=0", "--scripts.allow_commands=on"]
        argv.append("--http.rate_limit=off")
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with (directory / "serve.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*argv, *flags], cwd=directory, env=environment, stdout=log, stderr=log
            )
        address = directory / ".etl/server.json"
        while not address.exists():
            if self._process.poll() is not None:
                raise SystemExit((directory / "serve.log").read_text())
            time.sleep(0.05)
        self.url = json.loads(address.read_text())["url"]
        self.key = (directory / ".etl/admin.key").read_text().strip()
        headers = {"Authorization": f"Bearer {self.key}"}
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=120, trust_env=False)
        self._memory = psutil.Process(self._process.pid)
        self._done = Event()
        self.peak = 0
        Thread(target=self._watch_memory, daemon=True).start()

    def close(self) -> None:
        self._done.set()
        self._process.terminate()
        self._process.wait(60)

    @property
    def memory(self) -> int:
        return int(self._memory.memory_info().rss)

    def _watch_memory(self) -> None:
        with suppress(psutil.NoSuchProcess):
            while not self._done.wait(0.05):
                self.peak = max(self.peak, self.memory)

    def submit(self, command: list[str], **environment: str) -> str:
        answer = self.http.post("/jobs", json={"command": command, "environment": environment})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def finished(self, job_id: str) -> dict[str, Any]:
        while True:
            job: dict[str, Any] = self.http.get(f"/jobs/{job_id}", params={"wait": 30}).json()
            if job["finished_at"]:
                return job

    def seconds(self, job_id: str, times: int = 5, **params: str) -> float:
        """The middle of some reads of lines."""
        return statistics.median(self.once(job_id, **params)[0] for _ in range(times))

    def once(self, job_id: str, **params: str) -> tuple[float, httpx.Response]:
        began = time.perf_counter()
        answer = self.http.get(f"/jobs/{job_id}/log", params=params, headers=NDJSON)
        answer.raise_for_status()
        return time.perf_counter() - began, answer

    def search(self, job_id: str, text: str, *, goes_on: bool) -> tuple[float, float, int]:
        """Seconds of the longest page and of all, and how many these were: the first, or all of the log."""
        took, answer = self.once(job_id, contains=text, limit="100")
        times = [took]
        while goes_on and "Link" in answer.headers:
            after = answer.headers["X-Next-Cursor"]
            took, answer = self.once(job_id, contains=text, limit="100", after=after)
            times.append(took)
        return max(times), sum(times), len(times)

    def compress(self, job_id: str) -> None:
        """As it happens to a log to which nothing was written for a day."""
        head = next((self._directory / ".etl/logs").rglob(f"{job_id}/*.log"))
        deque(compressing(head), maxlen=0)
        if head.exists():
            raise SystemExit(f"{head} was not compressed.")

    def download(self, job_id: str) -> float:
        """Bytes a second of the whole log, counted and thrown away."""
        place = urlsplit(self.url)
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(self._request(f"/jobs/{job_id}/log", "text/plain", "Connection: close"))
            began, count, buffer = time.perf_counter(), 0, bytearray(1 << 20)
            while got := connection.recv_into(buffer):
                count += got
            return count / (time.perf_counter() - began)

    def reader_keys(self, readers: int) -> list[str]:
        """One for each reader: a caller may follow 20 logs at once."""
        keys = []
        for number in range(0, readers, STREAMS_A_KEY):
            answer = self.http.post("/keys", json={"name": f"reader-{number}", "scopes": ["logs:read"]})
            answer.raise_for_status()
            keys += [str(answer.json()["secret"])] * STREAMS_A_KEY
        return keys[:readers]

    async def delays(self, job_id: str, key: str) -> list[float]:
        """Milliseconds from each line's writing, which is its text, to its arrival."""
        place, found = urlsplit(self.url), list[float]()
        reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 20)
        writer.write(self._request(f"/jobs/{job_id}/log/stream", "text/event-stream", key=key))
        event = b""
        while line := await reader.readline():
            if line.startswith(b"event: "):
                event = line[7:].strip()
            elif line.startswith(b"data: ") and event == b"line":
                now = time.time_ns()
                found.append((now - int(json.loads(line[6:])["text"])) / 1e6)
            elif line.startswith(b"data: ") and event == b"end":
                break
        writer.close()
        return found

    def _request(self, path: str, accept: str, *more: str, key: str | None = None) -> bytes:
        lines = (
            f"GET /api/v1{path} HTTP/1.1",
            f"Host: {urlsplit(self.url).netloc}",
            f"Authorization: Bearer {key or self.key}",
            f"Accept: {accept}",
            *more,
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode()

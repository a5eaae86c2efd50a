"""A server that says what a test wants, and breaks connections where a test wants: only HTTP, no queue."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

JOB_ID = "01934b5e-0000-7000-8000-000000000001"
CUT = "cut"
"""In `FakeServer.events`: the connection ends here, without `end`."""


def job(state: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """A job as the API shows it."""
    return {
        "id": JOB_ID,
        "state": state,
        "script": "load.py",
        "command": None,
        "args": [],
        "parameters": {},
        "environment": {},
        "queue": "default",
        "labels": {},
        "retry": {"max_attempts": 1},
        "submitted_at": "2026-11-23T01:02:03.456Z",
        "submitted_by": "admin",
        "started_at": "2026-11-23T01:02:04Z",
        "finished_at": "2026-11-23T01:02:05Z",
        "cancel_requested_at": None,
        "attempt": 1,
        "worker": "host:1",
        "outcome": state if state in ("succeeded", "failed", "cancelled") else None,
        "reason": None,
        "usage": None,
        "retry_of": None,
        "waiting_for": None,
        **changes,
    }


def page(*items: object, next_cursor: str | None = None) -> tuple[int, object]:
    return 200, {"items": list(items), "next_cursor": next_cursor}


@dataclass
class FakeServer:
    """`answers` by `METHOD /path` (without the base), each (status, body), JSON unless it is bytes; `events`
    are told once, in order, over as many connections as it takes; `logs` by attempt and stream.
    """

    answers: dict[str, tuple[int, Any]] = field(
        default_factory=lambda: {f"GET /jobs/{JOB_ID}": (200, job("running"))}
    )
    events: list[tuple[str, Any] | str] = field(default_factory=list)
    logs: dict[int, dict[str, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def note(self, call: str, body: Any, headers: dict[str, str]) -> None:
        with self.arrived:
            self.requests.append((call, body))
            self.headers.append(headers)
            self.arrived.notify_all()

    def wait_for(self, call: str, seconds: float = 20.0) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: any(c == call for c, _ in self.requests), seconds), call

    def bytes_of(self, attempt: int | None, stream: str | None) -> bytes | None:
        streams = self.logs.get(attempt or max(self.logs, default=0))
        if streams is None:
            return None
        return streams.get(stream, b"") if stream else b"".join(streams.values())


class Handler(BaseHTTPRequestHandler):
    """Keeps connections alive, as the real one does."""

    protocol_version = "HTTP/1.1"
    fake: FakeServer

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        path = parts.path.removeprefix("/api/v1")
        query = {name: ",".join(values) for name, values in parse_qs(parts.query).items()}
        call = f"{self.command} {path}"
        self.fake.note(call, body if body is not None else query, dict(self.headers))
        if path.endswith("/log/stream"):
            self._stream()
        elif path.endswith("/log") and call not in self.fake.answers:
            self._log(query)
        else:
            self._answer(*self.fake.answers.get(call, (404, {"detail": f"nothing at {call}"})))

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names that http.server looks for

    def _answer(self, status: int, body: Any) -> None:
        if not isinstance(body, bytes):
            body = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b": here\n\n")
        while self.fake.events:
            event = self.fake.events.pop(0)
            if isinstance(event, str):
                break
            name, data = event
            if callable(data):
                data = data()
            identity = f"id: {data['cursor']}\n" if name == "line" else ""
            identity += "retry: 1000\n" if name == "reconnect" else ""
            self.wfile.write(
                f"{identity}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
            )
        self.close_connection = True

    def _log(self, query: dict[str, str]) -> None:
        attempt = int(query["attempt"]) if "attempt" in query else None
        data = self.fake.bytes_of(attempt, query.get("stream"))
        if data is None:
            return self._answer(404, {"detail": "no log"})
        first, last = self._range(len(data))
        if first >= len(data):
            return self._answer(416, {"detail": "nothing there"})
        part = data[first : last + 1]
        self.send_response(206 if self.headers.get("Range") else 200)
        self.send_header("Content-Range", f"{self._unit} {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
        return None

    @property
    def _asked(self) -> str:
        return self.headers.get("Range") or "bytes=0-"

    @property
    def _unit(self) -> str:
        return self._asked.partition("=")[0]

    def _range(self, size: int) -> tuple[int, int]:
        begin, _, end = self._asked.partition("=")[2].partition("-")
        return (int(begin), size - 1) if begin else (max(0, size - int(end)), size - 1)


def line(number: int, text: str, stream: str = "stdout") -> tuple[str, Any]:
    """A line event."""
    at = "2026-11-23T01:02:04.5Z"
    return "line", {"line": number, "at": at, "stream": stream, "text": text, "cursor": f"1.{number}"}


@contextmanager
def running(fake: FakeServer) -> Iterator[FakeServer]:
    """On a free port of loopback."""
    handler = type("Bound", (Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

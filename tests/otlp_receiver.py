"""A collector of OTLP over HTTP: the protocol's own messages, kept for the test that asks."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE = 60.0
REQUESTS: dict[str, Callable[[], Any]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


class Receiver:
    """`hold` keeps every request without an answer until `let_go` is set."""

    def __init__(self, port: int = 0, *, hold: bool = False) -> None:
        self._received: dict[str, list[Any]] = {path: [] for path in REQUESTS}
        self._news = Condition()
        self.let_go = Event()
        if not hold:
            self.let_go.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                packed = self.headers.get("Content-Encoding") == "gzip"
                receiver.take(self.path, gzip.decompress(body) if packed else body)
                receiver.let_go.wait(PATIENCE)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, path: str, body: bytes) -> None:
        message = REQUESTS[path]()
        message.ParseFromString(body)
        with self._news:
            self._received[path].append(message)
            self._news.notify_all()

    def stop(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what came -------------------------------------------------------------------------------------

    def spans(self) -> list[Any]:
        """All so far."""
        with self._news:
            return [
                span
                for message in self._received["/v1/traces"]
                for group in message.resource_spans
                for scope in group.scope_spans
                for span in scope.spans
            ]

    def resources(self, path: str = "/v1/traces") -> list[dict[str, Any]]:
        with self._news:
            groups = [
                group
                for message in self._received[path]
                for group in (message.resource_spans if path == "/v1/traces" else message.resource_metrics)
            ]
        return [attributes(group.resource) for group in groups]

    def metrics(self) -> dict[str, Any]:
        """By name, the latest of each."""
        with self._news:
            return {
                metric.name: metric
                for message in self._received["/v1/metrics"]
                for group in message.resource_metrics
                for scope in group.scope_metrics
                for metric in scope.metrics
            }

    def until(self, holds: Callable[[], bool]) -> None:
        """Looks whenever something came."""
        with self._news:
            assert self._news.wait_for(holds, PATIENCE), "it did not come"


def attributes(thing: Any) -> dict[str, Any]:
    """Of a span, a resource or a data point."""
    return {item.key: getattr(item.value, str(item.value.WhichOneof("value"))) for item in thing.attributes}


@contextmanager
def receiver(port: int = 0, *, hold: bool = False) -> Iterator[Receiver]:
    made = Receiver(port, hold=hold)
    try:
        yield made
    finally:
        made.stop()

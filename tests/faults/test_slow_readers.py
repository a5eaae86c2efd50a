"""Readers of a live log who stop reading: 500 of them cost bounded memory, and hold up nobody."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.installation import Installation, until
from tests.faults.node import Place

READERS = 500
OF_ONE_KEY = 20
LINES = 300_000
BODY = "x" * 60
BYTES_A_READER = 300_000
"""What the server may hold for one: what was handed to its connection, and a page."""


@pytest.fixture
def own(place: Place) -> Iterator[Installation]:
    installation = Installation(place.directory)
    yield installation
    installation.stop()
    assert "Traceback" not in (place.directory / "serve.log").read_text()


def memory(pid: int) -> int:
    fields = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1]
    return int(fields.split()[0]) * 1024


def opened(own: Installation, job_id: str, key: str) -> socket.socket:
    """A connection that has asked for the live log, and takes as little of it as the kernel lets it."""
    place = urlsplit(own.server["url"])
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect((place.hostname, place.port))
    head = f"GET /api/v1/jobs/{job_id}/log/stream HTTP/1.1\r\nHost: {place.netloc}\r\n"
    connection.sendall(f"{head}Authorization: Bearer {key}\r\nAccept: text/event-stream\r\n\r\n".encode())
    return connection


def streams_that_ended(own: Installation) -> float:
    """As its figures tell: a server lets nobody but root see its descriptors."""
    text = httpx.get(f"{own.server['url']}/metrics", trust_env=False).raise_for_status().text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    counts = [s for s in samples if s.name == "etl_http_request_seconds_count"]
    return sum(s.value for s in counts if s.labels["operation"] == "streamLog")


def test_f62_500_readers_who_stop_reading_cost_bounded_memory_and_hold_up_nobody(own: Installation) -> None:
    """F62: each takes a byte now and then, and the log is much larger than what they are sent."""
    server = own.serve()
    job_id = own.submit(script=own.script("much.py", f"for n in range({LINES}): print(n, {BODY!r})\n"))
    assert own.ended(job_id)["state"] == "succeeded"
    keys = [
        own.call("POST", "/keys", {"name": f"reader-{n}", "scopes": ["logs:read"]})["secret"]
        for n in range(READERS // OF_ONE_KEY)
    ]
    before = memory(server.pid)
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(opened(own, job_id, key))) for key in keys * OF_ONE_KEY]
        assert all(reader.recv(12) == b"HTTP/1.1 200" for reader in readers)
        for _ in range(20):
            assert all(reader.recv(1) for reader in readers)
        whole = own.etl("logs", "-f", job_id)
        assert whole.stdout.decode().splitlines() == [f"{n} {BODY}" for n in range(LINES)]
        assert own.ended(own.submit(script=own.script("hello.sh", "echo hello")))["state"] == "succeeded"
        assert memory(server.pid) - before < READERS * BYTES_A_READER
        ended = streams_that_ended(own)
    until(
        lambda: True if streams_that_ended(own) == ended + READERS else None,
        "the server to let go of those who went",
    )

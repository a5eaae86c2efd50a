"""The live log of a job as events (text/event-stream), through every loss of the connection."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from entrypoints.cli.client import Client, Refused, Unreachable, is_passing
from entrypoints.cli.failure import Failure
from entrypoints.cli.terminal import say

SILENCE_SECONDS: Final = 45.0
"""The server writes a comment at least every 15 s: after three that are missing it is gone."""

PATIENCE_SECONDS: Final = 300.0
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Event:
    """`name` is `line`, `state`, `gone`, `reconnect` or `end`; `id` is the cursor of a line."""

    name: str
    id: str | None
    data: Any


def follow(
    client: Client, job_id: str, after: str | None = None, stream: str | None = None
) -> Iterator[Event]:
    """Until `end`. After a lost connection, or `reconnect` from a server that stops, it goes on behind the
    last line, so none is missed and none comes twice; `state` may. Raises Failure when there was no
    server for five minutes.
    """
    pause, since = FIRST_PAUSE, time.monotonic()
    while True:
        why = "the connection is lost; trying again"
        try:
            for event in _connection(client, job_id, after, stream):
                if event.name == "reconnect":
                    why = "the server restarts; waiting for it"
                    break
                after = event.id or after
                pause, since = FIRST_PAUSE, time.monotonic()
                yield event
                if event.name == "end":
                    return
        except (Unreachable, Refused) as error:
            if not is_passing(error):
                raise
        if time.monotonic() - since > PATIENCE_SECONDS:
            raise Failure(f"The server is gone. `etl logs -f {job_id}` shows the rest when it is back.")
        if pause == FIRST_PAUSE:
            say(why)
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
        client.look_again()


def _connection(client: Client, job_id: str, after: str | None, stream: str | None) -> Iterator[Event]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
    path = f"/jobs/{job_id}/log/stream"
    with client.stream(
        path, params={"stream": stream}, headers=headers, read_seconds=SILENCE_SECONDS
    ) as answer:
        yield from parse(answer.iter_bytes())


def parse(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Events of a stream. Lines are cut at LF alone: httpx's own would cut at U+2028 in a log line too."""
    fields: dict[str, str] = {}
    for line in _lines(chunks):
        if not line:
            if "data" in fields:
                yield Event(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode() for line in lines)

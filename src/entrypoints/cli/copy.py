"""The bytes of a running job, copied while they come."""

import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

import httpx

from entrypoints.cli.client import Client, Refused, is_passing
from entrypoints.cli.events import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE_SECONDS, follow
from entrypoints.cli.failure import Failure
from entrypoints.cli.terminal import Sink

GATHER_SECONDS: Final = 0.05
"""A burst of lines is fetched at once, not line by line."""

LOOK_SECONDS: Final = 2.0
"""Only whole lines make news: a prompt or a progress bar is seen this much later."""

NOTHING_YET: Final = (404, 416)
"""The attempt has no log: it never started. And: nothing is behind this offset."""

ELSEWHERE: Final = 421
"""The attempt ran on a machine whose logs the server does not see."""

FINAL: Final = ("succeeded", "failed", "cancelled")

_WRITTEN: Final = re.compile(r"written ([0-9]+)-([0-9]+)/([0-9]+)", re.ASCII)

T = TypeVar("T")
News = dict[str, Any] | Failure | None


@dataclass(frozen=True, slots=True)
class WrittenSpan:
    """Which bytes of those that the program wrote an answer holds (`Content-Range: written …`), after a
    note of `note` bytes about what was cut before them. `size`: how many were written so far.
    """

    start: int
    stop: int
    size: int
    note: int

    @classmethod
    def of(cls, answer: httpx.Response) -> Self:
        """Raises Failure for an answer without one: a proxy may have dropped the range."""
        match = _WRITTEN.fullmatch(answer.headers.get("Content-Range", ""))
        if match is None:
            raise Failure("The server did not answer with the part of the log that was asked for.")
        first, last, size = map(int, match.groups())
        note = int(answer.headers["Content-Length"]) - (last + 1 - first)
        return cls(first, last + 1, size, note)


@dataclass(slots=True)
class Copying:
    """Copies the log of one job, attempt after attempt, from `attempt` on.

    The live events only tell that there is something. What is written are ranges of the log's
    bytes, so the copy is exact: bytes that are no UTF-8, a last line without a newline, a prompt.
    `sinks` by stream; None stands for the whole log in the order in which it was written.
    `written` says how much of `attempt` is there already.
    """

    client: Client
    job_id: str
    sinks: Mapping[str | None, Sink]
    attempt: int = 0
    written: dict[str | None, int] = field(default_factory=dict)
    on_elsewhere: Callable[[Refused], None] | None = None
    """Called instead of failing where an attempt's log lies on another machine."""

    def to_the_end(self) -> dict[str, Any]:
        """Returns the job when it is final and all is written. Raises Failure."""
        news: queue.SimpleQueue[News] = queue.SimpleQueue()
        threading.Thread(target=_watch, args=(self.client.twin(), self.job_id, news), daemon=True).start()
        while True:
            job, failure = _latest(news)
            if failure is not None:
                raise failure
            if job is None and self._copy(self.attempt):
                continue
            job = job or self._look()
            for attempt in range(max(self.attempt, 1), job["attempt"] + 1):
                self._go_to(attempt)
                self._copy(attempt)
            if job["state"] in FINAL:
                self._flush()
                return job

    def _look(self) -> dict[str, Any]:
        """The job as it is now. All bytes are here while events still come: of a fast job's lines they
        tell long after it has ended (300,000 lines: 30 s).
        """
        job: dict[str, Any] = self._patiently(lambda: self.client.call("GET", f"/jobs/{self.job_id}"))
        return job

    def _go_to(self, attempt: int) -> None:
        if attempt != self.attempt:
            self.attempt = attempt
            self.written.clear()

    def _copy(self, attempt: int) -> bool:
        """Everything that has been written since; whether that was anything."""
        if not attempt:
            return False
        before = sum(self.written.values())
        self._patiently(self._copy_streams)
        return sum(self.written.values()) > before

    def _copy_streams(self) -> None:
        for stream, sink in self.sinks.items():
            self._copy_stream(stream, sink)

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Again after a lost connection: what it left out comes then."""
        since, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                return ask()
            except Failure as error:
                if not is_passing(error) or time.monotonic() - since > PATIENCE_SECONDS:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            self.client.look_again()

    def _copy_stream(self, stream: str | None, sink: Sink) -> None:
        params = {"stream": stream, "attempt": self.attempt}
        try:
            more = True
            while more:
                headers = {"Range": f"written={self.written.get(stream, 0)}-", "Accept-Encoding": "identity"}
                with self.client.stream(f"/jobs/{self.job_id}/log", params=params, headers=headers) as answer:
                    span = WrittenSpan.of(answer)
                    self._write(span, answer.iter_bytes(), stream, sink)
                more = span.stop < span.size  # the answer ended where bytes were cut
            sink.flush()
        except Refused as refused:
            if refused.http_status == ELSEWHERE and self.on_elsewhere is not None:
                self.on_elsewhere(refused)
            elif refused.http_status not in NOTHING_YET:
                raise

    def _write(self, span: "WrittenSpan", pieces: Iterable[bytes], stream: str | None, sink: Sink) -> None:
        at, note = span.start, span.note
        for piece in pieces:
            sink.write(piece)
            of_note = min(note, len(piece))
            note -= of_note
            at += len(piece) - of_note
            if not note:
                self.written[stream] = at

    def _flush(self) -> None:
        for sink in self.sinks.values():
            sink.flush()


def _watch(client: Client, job_id: str, news: "queue.SimpleQueue[News]") -> None:
    """Passes on each state of the job, and None for whatever else there is news of."""
    try:
        for event in follow(client, job_id):
            news.put(event.data if event.name in ("state", "end") else None)
    except Failure as failure:
        news.put(failure)
    except Exception as error:  # noqa: BLE001 - whatever it is: who waits for news must hear of it
        news.put(Failure(f"Following the job ended: {error!r}."))


def _latest(news: "queue.SimpleQueue[News]") -> tuple[dict[str, Any] | None, Failure | None]:
    """Waits for news, and takes all that has gathered: what counts is the latest state."""
    gathered: list[News] = []
    with suppress(queue.Empty):
        gathered.append(news.get(timeout=LOOK_SECONDS))
        time.sleep(GATHER_SECONDS)
        while True:
            gathered.append(news.get_nowait())
    failure = next((n for n in gathered if isinstance(n, Failure)), None)
    return next((n for n in reversed(gathered) if isinstance(n, dict)), None), failure

"""`etl logs`."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from entrypoints.cli.client import Client, Refused
from entrypoints.cli.copy import NOTHING_YET, Copying, WrittenSpan
from entrypoints.cli.events import follow as follow_events
from entrypoints.cli.failure import bad_usage
from entrypoints.cli.options import Flag, Id
from entrypoints.cli.terminal import Screen, Sink, say

PAGE: Final = 1000
FIRST_PIECE: Final = 64 * 1024
PLAIN: Final = {"Accept": "text/plain", "Accept-Encoding": "identity"}
Line = dict[str, Any]


def logs(
    job_id: Id,
    /,
    *,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="")] = False,
    tail: int | None = None,
    stream: Literal["stdout", "stderr"] | None = None,
    attempt: int | None = None,
    timestamps: Flag = False,
) -> None:
    """Print the log of a job: all bytes, as the program wrote them.

    Parameters
    ----------
    job_id
        The job, or the beginning of its id.
    follow
        Go on until the job has ended.
    tail
        Begin at the last N lines.
    stream
        Only stdout, or only stderr.
    attempt
        Of this try; without it the latest, and with --follow all that come.
    timestamps
        Each line with its time and stream.

    """
    if follow and attempt is not None:
        raise bad_usage("--follow shows each attempt as it comes: it does not go with --attempt.")
    client = Client.here()
    log = Log(client, client.full_id(job_id), stream, attempt)
    sink = Screen(sys.stdout.buffer) if sys.stdout.isatty() else sys.stdout.buffer
    if timestamps:
        log.print_lines(sink, tail, follow=follow)
    elif follow:
        log.follow(sink, tail)
    else:
        log.print(sink, tail)


@dataclass(frozen=True, slots=True)
class Log:
    """The log of a job, or of one attempt, as a reader sees it."""

    client: Client
    job_id: str
    stream: str | None
    attempt: int | None

    @property
    def path(self) -> str:
        return f"/jobs/{self.job_id}/log"

    def print(self, sink: Sink, tail: int | None) -> None:
        """What is there now."""
        params = {**self._which, "tail": tail}
        with self.client.stream(self.path, params=params, headers=PLAIN) as answer:
            for piece in answer.iter_bytes():
                sink.write(piece)
        sink.flush()

    def follow(self, sink: Sink, tail: int | None) -> None:
        """All bytes, or the latest attempt's last lines and all that follows them."""
        copying = Copying(self.client, self.job_id, {self.stream: sink})
        attempts = self.client.call("GET", f"/jobs/{self.job_id}")["attempt"]
        if tail is not None and attempts:
            copying.attempt = attempts
            copying.written[self.stream] = self._print_end(sink, tail, attempts)
        copying.to_the_end()

    def _print_end(self, sink: Sink, tail: int, attempt: int) -> int:
        """The last `tail` lines; returns the offset behind them. Reads from the end in growing pieces."""
        wanted = FIRST_PIECE
        while True:
            data, span = self._last_bytes(wanted, attempt)
            start = _start_of_last(data, tail)
            # What lies before a cut is not looked at: a note stands for it.
            if span.start == 0 or span.note or start > 0:
                sink.write(data[start:])
                sink.flush()
                return span.stop
            wanted *= 4

    def _last_bytes(self, count: int, attempt: int) -> tuple[bytes, WrittenSpan]:
        headers = {**PLAIN, "Range": f"written=-{count}"}
        params = {"stream": self.stream, "attempt": attempt}
        try:
            with self.client.stream(self.path, params=params, headers=headers) as answer:
                return answer.read(), WrittenSpan.of(answer)
        except Refused as refused:
            if refused.http_status in NOTHING_YET:
                return b"", WrittenSpan(0, 0, 0, 0)
            raise

    def print_lines(self, sink: Sink, tail: int | None, *, follow: bool) -> None:
        """Each line with its time and stream."""
        after = None if follow and tail is None else self._print_lines_so_far(sink, tail, follow=follow)
        if follow:
            for event in follow_events(self.client, self.job_id, after, self.stream):
                if event.name == "line":
                    _print_line(sink, event.data)
                elif event.name == "gone":
                    say(event.data["detail"])

    def _print_lines_so_far(self, sink: Sink, tail: int | None, *, follow: bool) -> str | None:
        """Returns the last one's cursor. Whoever follows may come before there is a log."""
        after = None
        try:
            for line in self._lines_so_far(tail):
                _print_line(sink, line)
                after = line["cursor"]
        except Refused as refused:
            if not follow or refused.http_status not in NOTHING_YET:
                raise
        return after

    def _lines_so_far(self, tail: int | None) -> Iterator[Line]:
        """Of one attempt, page after page: all, or the last ones."""
        headers = {"Accept": "application/x-ndjson"}
        params = {**self._which, "tail": tail, "limit": PAGE}
        left = tail
        while True:
            with self.client.stream(self.path, params=params, headers=headers) as answer:
                page: list[Line] = [json.loads(line) for line in answer.read().split(b"\n") if line]
            yield from page[:left]
            left = None if left is None else left - len(page)
            if not page or left == 0:
                return
            params = {**self._which, "after": page[-1]["cursor"], "limit": PAGE}

    @property
    def _which(self) -> dict[str, Any]:
        return {"stream": self.stream, "attempt": self.attempt}


def _start_of_last(data: bytes, count: int) -> int:
    """Where the last `count` lines begin; 0 if there are no more."""
    start, end = len(data), len(data) - data.endswith(b"\n")
    for _ in range(count):
        start = data.rfind(b"\n", 0, end) + 1
        if start == 0:
            return 0
        end = start - 1
    return start


def _print_line(sink: Sink, line: Line) -> None:
    end = "" if line.get("partial") else "\n"
    sink.write(f"{line['at']} {line['stream']:<6} {line['text']}{end}".encode())
    sink.flush()

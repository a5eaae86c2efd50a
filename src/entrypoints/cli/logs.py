"""`etl logs`."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from entrypoints.cli.client import Client
from entrypoints.cli.events import follow as follow_events
from entrypoints.cli.terminal import harmless

Flag = Annotated[bool, Parameter(negative="")]
PAGE = 1000
Line = dict[str, Any]


def logs(
    job_id: Annotated[str, Parameter(name="ID")],
    *,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="")] = False,
    tail: int | None = None,
    stream: Literal["stdout", "stderr", "system"] | None = None,
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
        Only stdout, stderr or system.
    attempt
        Of this try; without it the latest, and with --follow all that come.
    timestamps
        Each line with its time and stream.
    """
    client = Client.here()
    job = client.full_id(job_id)
    params = {"stream": stream, "attempt": attempt}
    if not follow and not timestamps:
        return _copy(client, job, {**params, "tail": tail})
    after = None
    if tail is not None or not follow:
        for line in _lines(client, job, {**params, "tail": tail}):
            _print(line, timestamps=timestamps)
            after = line["cursor"]
    if follow:
        for event in follow_events(client, job, after, stream):
            if event.name == "line":
                _print(event.data, timestamps=timestamps)
    return None


def _copy(client: Client, job_id: str, params: dict[str, Any]) -> None:
    headers = {"Accept": "text/plain", "Accept-Encoding": "identity"}
    with client.stream(f"/jobs/{job_id}/log", params=params, headers=headers) as answer:
        for piece in answer.iter_bytes():
            _write(piece)


def _lines(client: Client, job_id: str, params: dict[str, Any]) -> Iterator[Line]:
    """Those that are there now, page after page. `tail` is for the first page only."""
    import msgspec  # noqa: PLC0415 - only here

    headers = {"Accept": "application/x-ndjson"}
    after: str | None = None
    while True:
        page = 0
        asked = {**params, "after": after} if after else params
        with client.stream(
            f"/jobs/{job_id}/log", params={**asked, "limit": PAGE}, headers=headers
        ) as answer:
            for text in b"".join(answer.iter_bytes()).splitlines():
                line: Line = msgspec.json.decode(text)
                yield line
                after, page = line["cursor"], page + 1
        params = {**params, "tail": None}
        if not page:
            return


def _print(line: Line, *, timestamps: bool) -> None:
    end = "" if line.get("partial") else "\n"
    before = f"{line['at']} {line['stream']:<6} " if timestamps else ""
    _write(f"{before}{line['text']}{end}".encode())


def _write(data: bytes) -> None:
    """Programs get the bytes as they are; a terminal none that could do more than show."""
    sys.stdout.buffer.write(harmless(data) if sys.stdout.isatty() else data)
    sys.stdout.buffer.flush()

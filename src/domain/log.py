"""The log of an attempt as people read it: lines with a number, a time and a stream."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

MAX_PIECE_BYTES: Final = 64 * 1024
"""A longer line is served in pieces of this size, each but the last marked `partial`."""

MAX_SHOWN: Final = 500
"""Characters of a line that a record keeps."""


class Stream(StrEnum):
    """Where a line came from."""

    STDOUT = "stdout"
    STDERR = "stderr"
    SYSTEM = "system"
    """Written by the orchestrator into the log, for instance how much was cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRef:
    """Names the log of one attempt. The fence, not the number: a claim that was given back and
    claimed again has the same number and another log.
    """

    job_id: UUID
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line, decoded for display: bytes that are no UTF-8 stand as U+FFFD.

    `number` counts from 1 within the attempt. `cursor` is the point after this line: reading on
    from it gives the next one. `partial`: the line goes on in the next `Line` of its stream.
    """

    number: int
    at: datetime
    stream: Stream
    text: str
    cursor: str
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Extent:
    """What is kept of a log, or of one stream: [0, head) and [tail, size) of the bytes that were written.

    `head == tail` where nothing was cut. `size` only grows, `head` never changes once it is below `tail`,
    and `tail` moves on while the log grows.
    """

    head: int
    tail: int
    size: int

    @property
    def cut(self) -> int:
        return self.tail - self.head


def cut_note(count: int) -> str:
    """What stands where bytes were cut."""
    return f"[etl: {count} bytes cut]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Lines in order, and the point to go on from, also where there were none.

    `size` is the log's size in bytes up to which this page was read. `more`: the page ended before it,
    being full or having searched enough.
    """

    lines: tuple[Line, ...]
    cursor: str
    size: int
    more: bool = False


def shown(text: str) -> str:
    """A line as it may stand in a record: bounded, without characters that move a terminal's cursor
    or that no JSON column takes (U+0000).
    """
    cleaned = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text[:MAX_SHOWN])
    return cleaned + "…" * (len(text) > MAX_SHOWN)

"""The index beside a log: which stream wrote which bytes when, in records of one size.

`<name>.log` holds the bytes as the programs wrote them, streams interleaved as they came.
`<name>.idx` holds one Record for each *run*, a stretch of bytes of one stream. A record is appended
*before* the bytes that it describes, so every byte of a log has its record, whatever is killed when.
A record carries the sums of all that came before it, so reading begins anywhere without looking back,
and since records are of one size and each sum only grows, any place is found by binary search.

A log that reached its limit is several files, each with its own index; the sums go on from one to the
next, so `offset` counts what was written, and not what is kept.

The supervisor imports this file under `python -I -S`: no imports but struct, streams are plain numbers.
"""

from struct import Struct

STDOUT = 0
STDERR = 1
SYSTEM = 2
STREAMS = ("stdout", "stderr", "system")
"""The names of the numbers (domain.log.Stream)."""

MERGE_US = 50_000
MERGE_BYTES = 64 * 1024
"""What follows a run's first chunk in this time and size joins it: 64 bytes a run are then < 0.1 %
of a fast log, and a line's time is at most 50 ms early.
"""

_LAYOUT = Struct("<HBBIQQQQQQQ")
_MAGIC = 0x4C58
_VERSION = 1
_PART_DIGITS = 16
_HEX = frozenset("0123456789abcdef")
_FAR_US = 253_402_300_800_000_000  # the year 10000, which no date can be in
RECORD_BYTES = _LAYOUT.size


def part_name(log: str, offset: int) -> str:
    """The file of the part of `<name>.log` that begins with byte `offset` of what was written."""
    return f"{log.removesuffix('.log')}.{offset:016x}.log"


def part_offset(log: str, name: str) -> int | None:
    """Where the part begins that has this name; None where the name is that of no part of `log`."""
    stem = log.removesuffix("log")
    digits = name.removeprefix(stem).removesuffix(".log")
    plain = len(digits) == _PART_DIGITS and not set(digits) - _HEX
    return int(digits, 16) if plain and name == f"{stem}{digits}.log" else None


def index_name(log: str) -> str:
    return f"{log.removesuffix('.log')}.idx"


Sums = tuple[int, int, int]
"""A number for each stream."""


class Record:
    """A point in a log and what is known there; in the index, the point where a run begins.

    `offset` bytes and `lines` newlines lie before it, `totals` bytes of each stream, and of those
    `pending` bytes of each stream stand behind its last newline. `stream` and `at_us` (microseconds
    since 1970, UTC) are those of the run.
    """

    __slots__ = ("at_us", "lines", "offset", "pending", "stream", "totals")

    def __init__(
        self, *, stream: int, at_us: int, offset: int, lines: int, totals: Sums, pending: Sums
    ) -> None:
        self.stream = stream
        self.at_us = at_us
        self.offset = offset
        self.lines = lines
        self.totals = totals
        self.pending = pending

    def line_start(self, stream: int) -> int:
        """Where the stream's unfinished line began, counted in bytes of that stream."""
        return self.totals[stream] - self.pending[stream]

    def opened(self, stream: int, at_us: int) -> "Record":
        """The same point, as the beginning of a new run."""
        return Record(
            stream=stream,
            at_us=at_us,
            offset=self.offset,
            lines=self.lines,
            totals=self.totals,
            pending=self.pending,
        )

    def advanced(self, data: bytes) -> "Record":
        """The point behind `data`, the next bytes of this run."""
        last = data.rfind(b"\n")
        unfinished = self.pending[self.stream] + len(data) if last < 0 else len(data) - last - 1
        return Record(
            stream=self.stream,
            at_us=self.at_us,
            offset=self.offset + len(data),
            lines=self.lines + data.count(b"\n"),
            totals=_with(self.totals, self.stream, self.totals[self.stream] + len(data)),
            pending=_with(self.pending, self.stream, unfinished),
        )

    def pack(self) -> bytes:
        stdout, stderr, system = self.pending
        return _LAYOUT.pack(
            _MAGIC,
            _VERSION,
            self.stream,
            system,
            self.at_us,
            self.offset,
            self.lines,
            self.totals[STDOUT],
            self.totals[STDERR],
            stdout,
            stderr,
        )


def unpack(data: bytes) -> Record | None:
    """The record, or None where these bytes are none: torn, or zeros that a power cut left."""
    if len(data) != RECORD_BYTES:
        return None
    magic, version, stream, system, at_us, offset, lines, *rest = _LAYOUT.unpack(data)
    totals = (rest[0], rest[1], offset - rest[0] - rest[1])
    pending = (rest[2], rest[3], system)
    known = magic == _MAGIC and version == _VERSION and stream < len(STREAMS) and at_us < _FAR_US
    if not known or lines > offset or any(map(int.__gt__, pending, totals)):
        return None
    return Record(stream=stream, at_us=at_us, offset=offset, lines=lines, totals=totals, pending=pending)


def beginning(at_us: int = 0) -> Record:
    """The point before the first byte. Bytes without any record are read as stdout from here."""
    return Record(stream=STDOUT, at_us=at_us, offset=0, lines=0, totals=(0, 0, 0), pending=(0, 0, 0))


class RunWriter:
    """What a writer appends to the index, and when. It does no I/O itself; for each chunk:

    1. append `record_for(stream, at_us)` to the index, if it is not empty;
    2. append the chunk to the log;
    3. tell `wrote(stream, at_us, data)` what of the chunk was really written.

    A write that failed is not told, and nothing else is needed: the record without bytes does no
    harm. Only the index must stay a multiple of RECORD_BYTES long: after a short write of a record,
    cut it off (ftruncate) or write nothing more.
    """

    def __init__(self) -> None:
        self._now = beginning()
        self._run: Record | None = None
        self._parted = False

    @property
    def offset(self) -> int:
        """The size of the log."""
        return self._now.offset

    def record_for(self, stream: int, at_us: int) -> bytes:
        """What must be in the index before the next chunk; nothing where it joins the open run."""
        return b"" if self._joins(stream, at_us) else self._now.opened(stream, at_us).pack()

    @property
    def within_line(self) -> bool:
        """Whether the log ends in the middle of the latest run's line."""
        return self._run is not None and self._now.pending[self._run.stream] > 0

    @property
    def latest_us(self) -> int:
        """When the latest run began."""
        return 0 if self._run is None else self._run.at_us

    def part(self) -> None:
        """What comes next lies in another file, which begins with a record of its own."""
        self._parted = True

    def wrote(self, stream: int, at_us: int, data: bytes) -> None:
        if not self._joins(stream, at_us):
            self._run = self._now = self._now.opened(stream, at_us)
            self._parted = False
        self._now = self._now.advanced(data)

    def _joins(self, stream: int, at_us: int) -> bool:
        run = self._run
        return (
            run is not None
            and not self._parted
            and run.stream == stream
            and 0 <= at_us - run.at_us < MERGE_US
            and self._now.offset - run.offset < MERGE_BYTES
        )


def _with(sums: Sums, stream: int, value: int) -> Sums:
    stdout, stderr, system = sums
    if stream == STDOUT:
        return value, stderr, system
    if stream == STDERR:
        return stdout, value, system
    return stdout, stderr, value

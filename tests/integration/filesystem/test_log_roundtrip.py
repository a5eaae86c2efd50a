"""Whatever was written, however it was cut and wherever the crash was: that is what is read."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.filesystem import indexed_log, log_search
from adapters.filesystem.stored_log import StoredLog
from domain import log_reading
from domain.errors import InvalidCursor
from domain.log import Line, Stream
from domain.log_index import STREAMS
from tests.log_writer import EPOCH, LogWriter

DATA = st.lists(
    st.sampled_from([b"\n", b"a", b"\xe2\x82\xac", b"\xff", b"\0", b"\r\n", b"\r", b"word", b"x" * 40])
).map(b"".join)
CHUNKS = st.lists(
    st.tuples(st.sampled_from(Stream), DATA | st.binary(), st.sampled_from([0, 1, 30, 60])), max_size=30
)
Chunks = list[tuple[Stream, bytes, int]]


@dataclass
class Expected:
    """The log by the rules, byte for byte, with nothing clever."""

    size: int
    written: dict[Stream | None, bytes] = field(default_factory=dict)
    lines: list[tuple[int, Stream, bytes]] = field(default_factory=list)
    newlines: list[int] = field(default_factory=list)
    """Where those of the lines stand that have one: lines without come last."""

    @classmethod
    def of(cls, chunks: Chunks, size: int) -> "Expected":
        written = [(stream, byte) for stream, data, _ in chunks for byte in data][:size]
        told = cls(size)
        open_lines = {stream: bytearray() for stream in Stream}
        for place, (stream, byte) in enumerate(written):
            if byte == ord("\n"):
                told.newlines.append(place)
                told.lines.append((len(told.lines) + 1, stream, bytes(open_lines[stream])))
                open_lines[stream].clear()
            else:
                open_lines[stream].append(byte)
        for stream in Stream:
            if open_lines[stream]:
                told.lines.append((len(told.lines) + 1, stream, bytes(open_lines[stream])))
        told.written = {one: bytes(b for s, b in written if one in (None, s)) for one in (None, *Stream)}
        return told

    def shown(self, stream: Stream | None, after: int = 0) -> list[tuple[int, Stream, str]]:
        """The lines that end at or behind the byte `after`."""
        lines = self.lines[sum(place < after for place in self.newlines) :]
        return [(n, s, last_state(text)) for n, s, text in lines if stream in (None, s)]


def last_state(line: bytes) -> str:
    """Of a progress bar, in so far as its last CR stands in the line's last piece."""
    begin = max(len(line) - int(vars(log_reading)["MAX_PIECE_BYTES"]), 0)
    cr = line[begin:].removesuffix(b"\r").rfind(b"\r")
    state = line if cr < 0 else line[begin + cr + 1 :]
    return state.removesuffix(b"\r").decode(errors="replace")


def write(directory: str, chunks: Chunks) -> tuple[Path, LogWriter]:
    path = Path(directory) / "1.log"
    writer = LogWriter(path)
    at = EPOCH
    for stream, data, wait in chunks:
        at += timedelta(milliseconds=wait)
        writer.write(stream, data, at)
    writer.close()
    return path, writer


def crash(path: Path, writer: LogWriter, part: float) -> int:
    """Cuts both files where a crash could have: anywhere within any single write."""
    step, within = divmod(part * (len(writer.marks) - 1), 1)
    before = writer.marks[int(step)]
    after = writer.marks[min(int(step) + 1, len(writer.marks) - 1)]
    sizes = [low + int((high - low) * within) for low, high in zip(before, after, strict=True)]
    for file, size in zip((path, path.with_suffix(".idx")), sizes, strict=True):
        with file.open("r+b") as opened:
            opened.truncate(size)
    return sizes[0]


def number(stream: Stream | None) -> int | None:
    return None if stream is None else STREAMS.index(stream)


def pages(path: Path, stream: Stream | None, limit: int) -> list[Line]:
    """All lines, each page from a newly opened log."""
    lines: list[Line] = []
    cursor = None
    while page := StoredLog(path).page(cursor, limit, number(stream), final=True).lines:
        lines += page
        cursor = page[-1].cursor
        assert len(page) <= limit
    return lines


def joined(lines: list[Line]) -> list[tuple[int, Stream, str]]:
    whole: list[tuple[int, Stream, str]] = []
    text = ""
    for line in lines:
        text += line.text
        if not line.partial:
            whole.append((line.number, line.stream, text))
            text = ""
    return whole


def bytes_of(path: Path, stream: Stream | None, start: int = 0, stop: int = 10**9) -> bytes:
    return StoredLog(path).piece(start, stop, number(stream))


@settings(max_examples=200, deadline=None)
@given(
    chunks=CHUNKS,
    part=st.floats(0, 1),
    limit=st.integers(1, 9),
    sizes=st.tuples(st.sampled_from([4, 7, 64]), st.sampled_from([1, 5, 64])),
    data=st.data(),
)
def test_what_is_read_is_what_was_written_up_to_the_crash(
    chunks: Chunks, part: float, limit: int, sizes: tuple[int, int], data: st.DataObject
) -> None:
    with (
        TemporaryDirectory() as directory,
        patch.object(log_reading, "MAX_PIECE_BYTES", sizes[0]),
        patch.object(indexed_log, "_BLOCK", sizes[1]),
    ):
        path, writer = write(directory, chunks)
        expected = Expected.of(chunks, crash(path, writer, part))
        for stream in (None, *Stream):
            whole = expected.written[stream]
            assert StoredLog(path).size_of(number(stream)) == len(whole)
            assert bytes_of(path, stream) == whole
            start, stop = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))
            assert bytes_of(path, stream, start, stop) == whole[start:stop]
            lines = pages(path, stream, limit)
            assert joined(lines) == expected.shown(stream)
            if lines:
                count = data.draw(st.integers(1, len(lines)))
                rest = StoredLog(path).page(lines[count - 1].cursor, 10**6, number(stream), final=True)
                assert list(rest.lines) == lines[count:]
            after = data.draw(st.integers(0, expected.size))
            rest = StoredLog(path).page(f"{after:x}-0-0", 10**6, number(stream), final=True)
            assert joined(list(rest.lines)) == expected.shown(stream, after)


@settings(max_examples=200, deadline=None)
@given(chunks=CHUNKS, part=st.floats(0, 1))
def test_what_a_power_cut_took_from_the_log_alone_leaves_the_rest_as_it_was(
    chunks: Chunks, part: float
) -> None:
    """The index may have reached the disk when the bytes that it tells of had not."""
    with TemporaryDirectory() as directory:
        path, writer = write(directory, chunks)
        size = int(writer.marks[-1][0] * part)
        with path.open("r+b") as log:
            log.truncate(size)
        expected = Expected.of(chunks, size)
        for stream in (None, *Stream):
            assert bytes_of(path, stream) == expected.written[stream]
            assert StoredLog(path).size_of(number(stream)) == len(expected.written[stream])
            assert joined(pages(path, stream, 5)) == expected.shown(stream)


@settings(max_examples=200, deadline=None)
@given(
    chunks=CHUNKS,
    places=st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 4)),
    limit=st.integers(1, 9),
    stream=st.sampled_from([None, *Stream]),
)
def test_a_cursor_that_nobody_gave_is_read_from_or_refused(
    chunks: Chunks, places: tuple[int, int, int], limit: int, stream: Stream | None
) -> None:
    with TemporaryDirectory() as directory:
        path, _ = write(directory, chunks)
        cursor = "-".join(f"{place:x}" for place in places)
        with suppress(InvalidCursor):
            page = StoredLog(path).page(cursor, limit, number(stream), final=True)
            assert len(page.lines) <= limit
            StoredLog(path).page(page.cursor, limit, number(stream), final=True)


@settings(max_examples=200, deadline=None)
@given(chunks=CHUNKS, part=st.floats(0, 1), count=st.integers(0, 12), block=st.sampled_from([1, 5, 64]))
def test_the_tail_is_the_last_lines(chunks: Chunks, part: float, count: int, block: int) -> None:
    with TemporaryDirectory() as directory, patch.object(indexed_log, "_BLOCK", block):
        path, writer = write(directory, chunks)
        expected = Expected.of(chunks, crash(path, writer, part))
        for stream in (None, *Stream):
            cursor, begins = StoredLog(path).tail(count, number(stream))
            page = StoredLog(path).page(str(cursor), 10**6, number(stream), final=True)
            shown = expected.shown(stream)
            assert joined(list(page.lines)) == shown[len(shown) - min(count, len(shown)) :]
            if stream is not None:
                texts = [text for _, s, text in expected.lines if s is stream]
                told = b"\n".join(texts[len(texts) - min(count, len(texts)) :])
                assert expected.written[stream][begins:].removesuffix(b"\n") in (
                    told,
                    told.removesuffix(b"\n"),
                )


@settings(max_examples=200, deadline=None)
@given(chunks=CHUNKS, limit=st.integers(1, 9), stream=st.sampled_from([None, *Stream]))
def test_a_follower_of_a_growing_log_gets_each_line_once(
    chunks: Chunks, limit: int, stream: Stream | None
) -> None:
    with TemporaryDirectory() as directory:
        path, writer = write(directory, chunks)
        whole = {file: file.read_bytes() for file in (path, path.with_suffix(".idx"))}
        seen: list[Line] = []
        cursor = None
        for sizes in writer.marks:
            for (file, content), size in zip(whole.items(), sizes, strict=True):
                file.write_bytes(content[:size])
            page = StoredLog(path).page(cursor, limit, number(stream), final=False)
            seen += page.lines
            cursor = page.cursor
        while page.lines or cursor is None:
            page = StoredLog(path).page(cursor, limit, number(stream), final=True)
            seen += page.lines
            cursor = page.cursor
        seen += StoredLog(path).page(cursor, 10**6, number(stream), final=True).lines
        assert joined(seen) == Expected.of(chunks, len(whole[path])).shown(stream)


@settings(max_examples=200, deadline=None)
@given(chunks=CHUNKS)
def test_the_time_of_a_line_is_at_most_a_run_early(chunks: Chunks) -> None:
    with TemporaryDirectory() as directory:
        path, _ = write(directory, chunks)
        times, at = [], EPOCH
        for _, data, wait in chunks:
            at += timedelta(milliseconds=wait)
            times += [at] * data.count(b"\n")
        lines = StoredLog(path).page(None, 10**6, None, final=False).lines
        early = [time - line.at for time, line in zip(times, lines, strict=True)]
        assert all(timedelta(0) <= by < timedelta(milliseconds=50) for by in early)


@settings(max_examples=200, deadline=None)
@given(chunks=CHUNKS, damage=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=130)), max_size=4))
def test_a_damaged_index_costs_no_byte_and_crashes_no_reader(
    chunks: Chunks, damage: list[tuple[int, bytes]]
) -> None:
    with TemporaryDirectory() as directory:
        path, _ = write(directory, chunks)
        with path.with_suffix(".idx").open("r+b") as index:
            for place, garbage in damage:
                index.seek(place)
                index.write(garbage)
        assert bytes_of(path, None) == b"".join(data for _, data, _ in chunks)
        for stream in (None, *Stream):
            StoredLog(path).page(None, 10**6, number(stream), final=True)
            StoredLog(path).tail(5, number(stream))
            bytes_of(path, stream)


@settings(max_examples=300, deadline=None)
@given(
    chunks=CHUNKS,
    wanted=st.sampled_from(["a", "wo", "ord", "xxx", "€", "awo"]),
    sizes=st.tuples(st.sampled_from([1, 3, 64]), st.sampled_from([1, 7, 1000])),
    limit=st.integers(1, 9),
    stream=st.sampled_from([None, *Stream]),
)
def test_a_search_finds_the_lines_with_the_text_and_no_others_on_however_many_pages(
    chunks: Chunks, wanted: str, sizes: tuple[int, int], limit: int, stream: Stream | None
) -> None:
    with (
        TemporaryDirectory() as directory,
        patch.object(log_search, "PIECE_BYTES", sizes[0]),
        patch.object(indexed_log, "PIECE_BYTES", sizes[0]),
        patch.object(log_search, "SEARCH_BYTES", sizes[1]),
    ):
        path, _ = write(directory, chunks)
        lines: list[Line] = []
        cursor, more = None, True
        while more:
            page = StoredLog(path).page(cursor, limit, number(stream), final=True, contains=wanted)
            lines += page.lines
            cursor, more = page.cursor, page.more
        whole = sum(len(data) for _, data, _ in chunks)
        expected = Expected.of(chunks, whole).lines
        assert joined(lines) == [
            (n, s, last_state(text))
            for n, s, text in expected
            if stream in (None, s) and wanted.encode() in text
        ]

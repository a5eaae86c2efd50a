"""A log that reached its limit: head and latest tail are kept, and what lies between is told to the byte."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.filesystem import stored_log
from adapters.filesystem.log_compression import compressing
from adapters.filesystem.stored_log import StoredLog, size_on_disk
from adapters.process.supervisor.log_file import LogFile
from domain.errors import LogNotFound
from domain.log import Extent, Line, cut_note
from domain.log_index import RECORD_BYTES, STDERR, STDOUT, Record, part_offset
from domain.shown_log import ShownLog
from tests.crashing import killed_at

LIMIT = 64
LINES = st.lists(
    st.tuples(
        st.sampled_from([STDOUT, STDERR]),
        st.text("ab\n", min_size=1, max_size=40).map(str.encode),
    ),
    max_size=40,
)


def writer(directory: str | Path, limit: int = LIMIT) -> tuple[Path, LogFile]:
    path = Path(directory) / "1.log"
    return path, LogFile(str(path), str(path.with_suffix(".idx")), limit)


def shown(path: Path, stream: int | None = None) -> bytes:
    log = StoredLog(path)
    document = ShownLog(log.extent(stream))
    pieces = document.pieces(range(document.length))
    return b"".join(p if isinstance(p, bytes) else _all(log, p, stream) for p in pieces)


def _all(log: StoredLog, span: range, stream: int | None) -> bytes:
    data = b""
    while len(data) < len(span):
        data += log.piece(span.start + len(data), span.stop, stream)
    return data


def on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob("*.log"))


def lines(path: Path, limit: int, stream: int | None = None) -> list[Line]:
    seen: list[Line] = []
    cursor = None
    while page := StoredLog(path).page(cursor, limit, stream, final=True).lines:
        seen += page
        cursor = page[-1].cursor
    return seen


@settings(max_examples=300, deadline=None)
@given(chunks=LINES, page=st.integers(1, 5), stream=st.sampled_from([None, STDOUT, STDERR]))
def test_head_note_and_tail_are_what_was_written_but_for_the_cut(
    chunks: list[tuple[int, bytes]], page: int, stream: int | None
) -> None:
    with TemporaryDirectory() as directory:
        path, log = writer(directory)
        log.open()
        for at, (number, data) in enumerate(chunks):
            log.append(number, at, data)
            assert on_disk(path) <= LIMIT
        log.close()
        written = b"".join(data for number, data in chunks if stream in (None, number))
        extent = StoredLog(path).extent(stream)
        assert extent.size == len(written)
        note = f"\n{cut_note(extent.cut)}\n".encode() if extent.cut else b""
        assert shown(path, stream) == written[: extent.head] + note + written[extent.tail :]
        if stream is None:
            assert log.lost_bytes == extent.cut
            assert log.kept_bytes == extent.size - extent.cut
            assert size_on_disk(path) == extent.size
            assert extent.cut or len(written) <= LIMIT * 3 // 4 + 40
        told = lines(path, page, stream)
        notes = [line for line in told if line.stream == "system"]
        if stream is None:
            assert [line.text for line in notes] == ([cut_note(extent.cut)] if extent.cut else [])
        assert told == list(StoredLog(path).page(None, 10**6, stream, final=True).lines)


@settings(max_examples=150, deadline=None)
@given(chunks=LINES, limit=st.integers(1, 5))
def test_a_follower_who_keeps_up_gets_every_line_once_whatever_is_cut(
    chunks: list[tuple[int, bytes]], limit: int
) -> None:
    with TemporaryDirectory() as directory:
        path, log = writer(directory, 1024)
        log.open()
        cursor, seen = None, list[tuple[str, str]]()
        for at, (number, data) in enumerate(chunks):
            log.append(number, at, data)
            more = True
            while more:
                page = StoredLog(path).page(cursor, limit, None, final=False)
                seen += [(str(line.stream), line.text) for line in page.lines]
                cursor, more = page.cursor, page.more
        expected = {
            name: b"".join(data for n, data in chunks if n == number).split(b"\n")[:-1]
            for name, number in (("stdout", STDOUT), ("stderr", STDERR))
        }
        for name, texts in expected.items():
            assert [text.encode() for stream, text in seen if stream == name] == texts


def a_cut_log(directory: Path, count: int = 200) -> Path:
    """`line 0` to `line 199`, of which 64 bytes or fewer are kept."""
    path, log = writer(directory)
    for number in range(count):
        log.append(STDOUT, number, b"line %d\n" % number)
    log.close()
    return path


def test_lines_keep_their_numbers_behind_the_cut(tmp_path: Path) -> None:
    told = lines(a_cut_log(tmp_path), 2)
    texts = [line.text for line in told]
    cut = next(i for i, line in enumerate(told) if line.stream == "system")
    assert texts[:cut] == [f"line {n}" for n in range(cut)]
    assert texts[-1] == "line 199"
    assert all(line.text == f"line {line.number - 1}" for line in told[cut + 1 :])
    assert [line.number for line in told] == sorted(line.number for line in told)


@pytest.mark.parametrize("count", range(16))
def test_a_tail_goes_back_over_the_cut(tmp_path: Path, count: int) -> None:
    path = a_cut_log(tmp_path)
    everything = [line.text for line in lines(path, 100)]
    cursor, offset = StoredLog(path).tail(count, None)
    page = StoredLog(path).page(str(cursor), 100, None, final=True)
    assert [line.text for line in page.lines] == everything[max(len(everything) - count, 0) :]
    document = ShownLog(StoredLog(path).extent(None), offset)
    assert bool(document.note) == any("cut" in line.text for line in page.lines)


def test_a_cursor_whose_line_was_cut_goes_on_behind_the_cut_and_says_so(tmp_path: Path) -> None:
    path, log = writer(tmp_path)
    for number in range(7):
        log.append(STDOUT, number, b"line %d\n" % number)
    first = StoredLog(path).page(None, 6, None, final=False)
    assert [line.text for line in first.lines][-1] == "line 5"
    read_to = StoredLog(path).page(first.cursor, 6, None, final=False).cursor
    for number in range(7, 200):
        log.append(STDOUT, number, b"line %d\n" % number)
    rest = StoredLog(path).page(read_to, 100, None, final=False).lines
    begin = StoredLog(path).extent(None).tail
    assert rest[0].text == cut_note(begin - int(read_to.split("-")[0], 16))
    assert rest[-1].text == "line 199"
    log.close()


@pytest.mark.parametrize("crash", [lambda p: p[0].unlink(), lambda p: p[-1].write_bytes(b"")])
def test_parts_that_a_crash_took_count_as_cut(tmp_path: Path, crash: Callable[[list[Path]], None]) -> None:
    path = a_cut_log(tmp_path)
    before = StoredLog(path).extent(None)
    crash(sorted(tmp_path.glob("1.0*.log")))
    after = StoredLog(path).extent(None)
    assert after.head == before.head
    assert after.cut > before.cut or after.size < before.size
    assert shown(path).startswith(b"line 0\n")


@pytest.mark.parametrize("count", [8, 30], ids=["of one piece", "cut"])
@pytest.mark.parametrize("torn", [0, 1, 2], ids=["head", "first part", "last part"])
def test_a_torn_record_at_the_end_of_any_file_shifts_none_of_the_files_behind_it(
    tmp_path: Path, torn: int, count: int
) -> None:
    path, log = writer(tmp_path)
    for number in range(count):
        log.append((STDOUT, STDERR)[number % 2], number, b"line %x\n" % (number % 16))
    log.close()
    before = [lines(path, 100, stream) for stream in (None, STDOUT, STDERR)]
    assert len({line.stream for line in before[0]}) == (2 if count == 8 else 3)
    indexes = [path.with_suffix(".idx"), *sorted(tmp_path.glob("1.0*.idx"))]
    with indexes[torn].open("ab") as index:
        index.write(b"torn")
    assert [lines(path, 100, stream) for stream in (None, STDOUT, STDERR)] == before


def test_a_part_that_a_power_cut_shortened_counts_as_cut_since_another_follows(tmp_path: Path) -> None:
    path = a_cut_log(tmp_path)
    shortened, last = sorted(tmp_path.glob("1.0*.log"))
    os.truncate(shortened, 4)
    extent = StoredLog(path).extent(None)
    assert extent.tail == part_offset(path.name, last.name)
    assert shown(path).endswith(f"{cut_note(extent.cut)}\n".encode() + last.read_bytes())
    assert lines(path, 100)[-1].text == "line 199"


def test_a_part_that_lost_its_first_record_is_read_from_its_own_beginning(tmp_path: Path) -> None:
    """Its lines are all there, with numbers of their own: what came before is not known any more."""
    path = a_cut_log(tmp_path)
    begin = StoredLog(path).extent(None).tail
    before = [line.text for line in lines(path, 100)]
    index = min(tmp_path.glob("1.0*.idx"))
    second = Record(
        stream=STDOUT, at_us=0, offset=begin + 9, lines=9, totals=(begin + 9, 0, 0), pending=(0, 0, 0)
    )
    index.write_bytes(second.pack())
    assert StoredLog(path).extent(None).tail == begin
    assert [line.text for line in lines(path, 100)] == before


def test_a_log_that_grows_beyond_its_head_while_it_is_opened_has_no_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, log = writer(tmp_path)
    log.append(STDOUT, 0, b"line x\n")
    look = stored_log.parts_of

    def seen_when_written(of: Path) -> list[int]:
        for number in range(5):
            log.append(STDOUT, number, b"line %d\n" % number)
        return look(of)

    monkeypatch.setattr(stored_log, "parts_of", seen_when_written)
    assert StoredLog(path).extent(None).cut == 0
    log.close()


def test_a_part_that_is_cut_while_the_log_is_opened_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, log = writer(tmp_path)
    for number in range(20):
        log.append(STDOUT, number, b"line %d\n" % number)
    look = stored_log.parts_of

    def cut_when_seen(of: Path) -> list[int]:
        monkeypatch.setattr(stored_log, "parts_of", look)
        seen = look(of)
        for number in range(20):
            log.append(STDOUT, number, b"line %d\n" % number)
        return seen

    monkeypatch.setattr(stored_log, "parts_of", cut_when_seen)
    opened = StoredLog(path)
    log.close()
    assert opened.extent(None) == StoredLog(path).extent(None)
    assert opened.size == sum(len(b"line %d\n" % number) for number in range(20)) * 2


def test_a_line_that_is_longer_than_a_part_is_cut_within(tmp_path: Path) -> None:
    path, log = writer(tmp_path)
    for at in range(20):
        log.append(STDOUT, at, b"x" * 50)
    log.append(STDOUT, 21, b"\nend\n")
    log.close()
    assert on_disk(path) <= LIMIT
    assert [line.text for line in lines(path, 9)][-1] == "end"
    assert StoredLog(path).extent(None).size == 1005


def test_written_bytes_keep_their_places_when_the_cut_moves() -> None:
    extent = Extent(10, 50, 100)
    for asked, note, sent in (
        (range(4), False, range(4)),
        (range(4, 100), False, range(4, 10)),
        (range(10, 100), True, range(50, 100)),
        (range(30, 60), True, range(50, 60)),
        (range(50, 100), False, range(50, 100)),
        (range(70, 80), False, range(70, 80)),
    ):
        document, span, told = ShownLog.of_written(extent, asked)
        pieces = list(document.pieces(span))
        assert told == sent
        assert pieces[-1] == sent
        assert (len(pieces) == 2) == note
        assert sum(map(len, pieces)) == len(span)
    document, _, _ = ShownLog.of_written(extent, range(30, 60))
    assert document.note == b"\n[etl: 20 bytes cut]\n"


@settings(max_examples=200, deadline=None)
@given(chunks=LINES, last=st.integers(0, 150), part=st.floats(0, 1), page=st.integers(1, 5))
def test_after_a_kill_at_any_change_to_the_disk_what_was_accepted_is_read_but_for_the_cut(
    chunks: list[tuple[int, bytes]], last: int, part: float, page: int
) -> None:
    """With compression behind it: its result is the same log."""
    with TemporaryDirectory() as directory:
        path, log = writer(directory)
        given_ = b"".join(data for _, data in chunks)
        with killed_at(last, part):
            log.open()
            for at, (number, data) in enumerate(chunks):
                log.append(number, at, data)
            log.close()
        accepted = log._runs.offset
        del log
        try:
            extent = StoredLog(path).extent(None)
        except LogNotFound:
            assert accepted == 0
            return
        assert accepted <= extent.size <= len(given_)
        note = f"\n{cut_note(extent.cut)}\n".encode() if extent.cut else b""
        told = shown(path)
        assert told == given_[: extent.head] + note + given_[extent.tail : extent.size]
        seen = lines(path, page)
        list(compressing(path))
        assert (shown(path), lines(path, page), StoredLog(path).extent(None)) == (told, seen, extent)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writes are cut there (EFBIG), as by a quota or a full disk, which few machines let a test have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_record_that_was_half_written_is_taken_back(tmp_path: Path) -> None:
    """Or all records behind it would be read from the wrong place."""
    path, log = writer(tmp_path, 10**6)
    log.append(STDOUT, 0, b"out\n")
    with files_of_at_most(RECORD_BYTES + 10):
        log.append(STDERR, 1, b"lost\n")
    assert path.with_suffix(".idx").stat().st_size == RECORD_BYTES
    log.append(STDERR, 2, b"err\n")
    log.append(STDOUT, 3, b"out\n")
    log.close()
    told = [(line.stream, line.text) for line in lines(path, 100)]
    note = ("system", "[etl: 5 bytes lost: they could not be written]")
    assert told == [("stdout", "out"), note, ("stderr", "err"), ("stdout", "out")]
    assert (log.lost_bytes, log.kept_bytes) == (5, 12)


def test_a_write_that_took_only_a_part_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, log = writer(tmp_path, 10**6)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data)[:RECORD_BYTES]))
    log.append(STDOUT, 0, b"a line of many bytes, " * 100 + b"\n")
    monkeypatch.undo()
    log.close()
    assert (path.stat().st_size, log.lost_bytes) == (2201, 0)


def test_what_was_lost_within_a_line_is_told_in_a_line_of_its_own(tmp_path: Path) -> None:
    path, log = writer(tmp_path, 10**6)
    log.append(STDOUT, 0, b"abc")
    with files_of_at_most(RECORD_BYTES):
        log.append(STDOUT, 1, b"x" * 100)
    log.append(STDOUT, 2, b"more\n")
    log.close()
    note = b"\n[etl: 39 bytes lost: they could not be written]\n"
    assert path.read_bytes() == b"abc" + b"x" * 61 + note + b"more\n"
    assert (log.lost_bytes, log.kept_bytes) == (39, 69)


def test_what_was_lost_last_is_told_at_the_end(tmp_path: Path) -> None:
    path, log = writer(tmp_path, 10**6)
    log.append(STDOUT, 0, b"a" * 60 + b"\n")
    with files_of_at_most(RECORD_BYTES):
        log.append(STDOUT, 1, b"lost\n")
    log.close()
    assert path.read_bytes().endswith(b"los\n[etl: 2 bytes lost: they could not be written]\n")


def test_a_note_that_was_half_written_is_followed_by_a_whole_one(tmp_path: Path) -> None:
    path, log = writer(tmp_path, 10**6)
    log.append(STDERR, 0, b"a\n")
    log.append(STDOUT, 0, b"a" * 190 + b"\n")
    for room in (2, 10):
        with files_of_at_most(3 * RECORD_BYTES + room):
            log.append(STDOUT, 1, b"lost\n")
    log.append(STDOUT, 3, b"more\n")
    log.close()
    note = b"[etl: 9 bytes lost: they could not be written]\n"
    assert path.read_bytes().endswith(b"l\n[etl: 4\n" + note + b"more\n")


def test_a_part_that_goes_leaves_no_bytes_without_their_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed between: they would be read as stdout of one time."""
    path, log = writer(tmp_path)
    unlink = os.unlink
    gone: list[str] = []

    def tell(file: str) -> None:
        gone.append(Path(file).suffix)
        unlink(file)

    monkeypatch.setattr(os, "unlink", tell)
    for number in range(20):
        log.append(STDOUT, number, b"line %d\n" % number)
    log.close()
    assert gone == [".log", ".idx"] * (len(gone) // 2) != []
    assert path.exists()

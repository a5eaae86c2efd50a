"""The index's records, the runs that a writer opens, and the lines in them."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import log_index
from domain.log import Stream
from domain.log_index import (
    MERGE_BYTES,
    MERGE_US,
    RECORD_BYTES,
    STDERR,
    STDOUT,
    STREAMS,
    SYSTEM,
    Record,
    RunWriter,
    beginning,
    unpack,
)

STREAM_NUMBERS = st.sampled_from([STDOUT, STDERR, SYSTEM])
CHUNKS = st.lists(st.tuples(STREAM_NUMBERS, st.integers(0, 10**6), st.binary(max_size=20)))


def facts(record: Record | None) -> tuple[object, ...]:
    assert record is not None
    return tuple(getattr(record, name) for name in Record.__slots__)


def test_the_numbers_have_the_names_of_the_streams() -> None:
    assert tuple(Stream) == STREAMS


def test_a_record_never_lies_across_two_pages_of_a_file() -> None:
    assert 4096 % RECORD_BYTES == 0


@given(CHUNKS)
def test_a_record_comes_back_as_it_was_packed(chunks: list[tuple[int, int, bytes]]) -> None:
    point = beginning()
    for stream, at_us, data in chunks:
        point = point.opened(stream, at_us).advanced(data)
        assert facts(unpack(point.pack())) == facts(point)


@given(st.binary(max_size=100) | st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES))
def test_other_bytes_are_no_record(data: bytes) -> None:
    assert unpack(data) is None


@pytest.mark.parametrize("place", [0, 2, 3, 15])
def test_a_record_with_an_impossible_field_is_none(place: int) -> None:
    data = bytearray(beginning().opened(STDERR, 1).advanced(b"abc\n").pack())
    data[place] = 0xFF
    assert unpack(bytes(data)) is None


@pytest.mark.parametrize(("field", "value"), [("lines", 4), ("totals", (5, 0, -2)), ("pending", (4, 0, 0))])
def test_sums_that_contradict_each_other_are_no_record(field: str, value: object) -> None:
    record = beginning().opened(STDOUT, 1).advanced(b"abc")
    assert unpack(record.pack()) is not None
    setattr(record, field, value)
    assert unpack(record.pack()) is None


def test_a_first_chunk_needs_a_record() -> None:
    runs = RunWriter()
    record = unpack(runs.record_for(STDERR, 42))
    assert facts(record) == facts(beginning().opened(STDERR, 42))
    assert runs.offset == 0


def written(*chunks: tuple[int, int, bytes]) -> tuple[RunWriter, list[bool]]:
    """The writer after these, and which of them needed a record."""
    runs, needed = RunWriter(), []
    for stream, at_us, data in chunks:
        needed.append(runs.record_for(stream, at_us) != b"")
        runs.wrote(stream, at_us, data)
    return runs, needed


def test_chunks_of_one_stream_join_while_the_run_is_young_and_small() -> None:
    assert written((0, 0, b"a"), (0, 1, b"b"), (0, MERGE_US - 1, b"c"))[1] == [True, False, False]
    assert written((0, 0, b"a"), (0, MERGE_US, b"b"))[1] == [True, True]
    assert written((0, 0, b"a"), (1, 0, b"b"), (0, 0, b"c"))[1] == [True, True, True]
    large = b"x" * (MERGE_BYTES - 1)
    assert written((0, 0, large), (0, 0, b"y"), (0, 0, b"z"))[1] == [True, False, True]


def test_a_clock_that_goes_back_opens_a_run() -> None:
    assert written((0, 10, b"a"), (0, 9, b"b"))[1] == [True, True]


def test_a_chunk_that_was_not_written_is_not_counted() -> None:
    runs, _ = written((STDOUT, 0, b"abc\n"))
    assert runs.record_for(STDERR, 0)
    again = unpack(runs.record_for(STDERR, 0))
    assert again is not None
    assert (again.offset, again.lines, again.totals) == (4, 1, (4, 0, 0))
    runs.wrote(STDERR, 0, b"part")
    assert runs.offset == 8


@given(CHUNKS)
def test_a_record_carries_the_sums_of_all_before_it(chunks: list[tuple[int, int, bytes]]) -> None:
    runs = RunWriter()
    before = b""
    streams = [b"", b"", b""]
    for stream, at_us, data in chunks:
        if record := unpack(runs.record_for(stream, at_us)):
            assert (record.offset, record.lines) == (len(before), before.count(b"\n"))
            assert list(record.totals) == [len(s) for s in streams]
            assert [record.line_start(s) for s in range(3)] == [s.rfind(b"\n") + 1 for s in streams]
        runs.wrote(stream, at_us, data)
        before += data
        streams[stream] += data


def test_a_bare_interpreter_can_import_it() -> None:
    root = str(Path(log_index.__file__).parent.parent)
    script = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import domain.log_index;"
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, root], capture_output=True, text=True, check=True
    )
    assert set(run.stdout.split()) == {"_struct", "domain", "domain.log_index", "struct"}

"""A compressed log is the same log: in every view, while it is compressed, and after a crash at any point."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.filesystem import log_compression, log_files
from adapters.filesystem.log_compression import compressing
from adapters.filesystem.log_files import LogBytes
from adapters.filesystem.log_store import FilesystemLogStore
from adapters.filesystem.log_upkeep import FilesystemLogUpkeep
from adapters.filesystem.open_file import OpenFile
from adapters.filesystem.seekable_zstd import SeekableZstd
from adapters.filesystem.stored_log import StoredLog, size_on_disk
from adapters.process.supervisor.log_file import LogFile
from domain.errors import LogNotFound
from domain.log import LogRef, Stream
from domain.log_index import STDERR, STDOUT
from tests.crashing import killed_at
from tests.log_writer import LogWriter

CHUNKS = st.lists(
    st.tuples(
        st.sampled_from([STDOUT, STDERR]),
        st.sampled_from([b"\n", b"a", b"\xff", b"word", b"x" * 40, b"one\ntwo\n"]) | st.binary(min_size=1),
    ),
    max_size=30,
)
Chunks = list[tuple[int, bytes]]
JOB = UUID("01890000-0000-7000-8000-000000000001")
"""An id of the year 2023."""
REF = LogRef(job_id=JOB, fence=1)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@contextmanager
def small_frames(frame_bytes: int) -> Iterator[None]:
    with (
        patch.object(log_compression, "LOG_FRAME_BYTES", frame_bytes),
        patch.object(log_compression, "INDEX_FRAME_BYTES", frame_bytes),
    ):
        yield


def written(directory: str | Path, chunks: Chunks, limit: int) -> Path:
    path = Path(directory) / "1.log"
    log = LogFile(str(path), str(path.with_suffix(".idx")), limit)
    log.open()
    for at, (stream, data) in enumerate(chunks):
        log.append(stream, at * 30_000, data)
    log.close()
    return path


def all_views(path: Path, wanted: str) -> list[object]:
    """What each kind of reader gets, from newly opened files."""
    views: list[object] = [size_on_disk(path)]
    for stream in (None, STDOUT, STDERR):
        extent = StoredLog(path).extent(stream)
        whole = StoredLog(path).piece(0, extent.head, stream) + StoredLog(path).piece(
            extent.tail, extent.size, stream
        )
        page = StoredLog(path).page(None, 3, stream, final=True)
        rest = StoredLog(path).page(page.cursor, 10**6, stream, final=True)
        tails = [StoredLog(path).tail(count, stream) for count in (0, 1, 4)]
        found = StoredLog(path).page(None, 10**6, stream, final=True, contains=wanted)
        views += [extent, whole, page, rest, tails, found]
    return views


@settings(max_examples=100, deadline=None)
@given(
    chunks=CHUNKS,
    limits=st.tuples(st.sampled_from([64, 10**6]), st.sampled_from([1, 16, 1000])),
    last=st.none() | st.integers(0, 60),
    part=st.floats(0, 1),
    wanted=st.sampled_from(["wo", "x", "two"]),
)
def test_whatever_was_written_and_wherever_compression_was_killed_every_view_is_the_same(
    chunks: Chunks, limits: tuple[int, int], last: int | None, part: float, wanted: str
) -> None:
    with TemporaryDirectory() as directory, small_frames(limits[1]):
        path = written(directory, chunks, limits[0])
        before, opened = all_views(path, wanted), StoredLog(path)
        with killed_at(last, part):
            list(compressing(path))
        assert all_views(path, wanted) == before
        list(compressing(path))
        assert all_views(path, wanted) == before
        assert not [file for file in Path(directory).iterdir() if file.suffix != ".zst"]
        assert opened.extent(None) == before[1]
        assert opened.piece(0, 10**6, None) == StoredLog(path).piece(0, 10**6, None)


def test_it_is_killed_at_every_single_change(tmp_path: Path) -> None:
    """None of them is left out by chance: one log, and as many kills as it has changes."""
    chunks = [(STDOUT, b"line\n" * 30), (STDERR, b"oops\n"), (STDOUT, b"end" * 9)]
    path = written(tmp_path, chunks, 64)
    with killed_at(None) as changes:
        list(compressing(path))
    assert changes.count > 40
    for last in range(changes.count):
        place = tmp_path / str(last)
        place.mkdir()
        path = written(place, chunks, 64)
        before = all_views(path, "oops")
        with killed_at(last, 0.5) as killed:
            list(compressing(path))
        assert killed.count == last
        assert all_views(path, "oops") == before
        list(compressing(path))
        assert all_views(path, "oops") == before
        shutil.rmtree(place)


def test_reads_between_any_two_steps_are_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, [(STDOUT, b"line\n" * 30), (STDERR, b"oops\n")], 64)
    before = all_views(path, "line")
    with small_frames(16):
        for _ in compressing(path):
            assert all_views(path, "line") == before
    assert all_views(path, "line") == before


def test_a_log_that_is_compressed_between_two_tries_to_open_it_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, [(STDOUT, b"line\n")], 10**6)

    def opening(opener: Callable[[Path], LogBytes]) -> Callable[[Path], LogBytes]:
        def opened(file: Path) -> LogBytes:
            try:
                return opener(file)
            except FileNotFoundError:
                list(compressing(path))
                raise

        return opened

    with (
        patch.object(log_files, "OpenFile", opening(OpenFile)),
        patch.object(log_files, "SeekableZstd", opening(SeekableZstd)),
    ):
        assert StoredLog(path).piece(0, 9, None) == b"line\n"


def test_a_log_that_a_supervisor_has_open_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "1.log"
    log = LogFile(str(path), str(path.with_suffix(".idx")), 10**6)
    log.append(STDOUT, 0, b"one\n")
    assert list(compressing(path)) == []
    log.append(STDOUT, 1, b"two\n")
    log.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert list(compressing(path)) != []
    assert not path.exists()


def test_two_that_compress_the_same_log_do_it_once(tmp_path: Path) -> None:
    path = written(tmp_path, [(STDOUT, b"line\n" * 100)], 10**6)
    first = compressing(path)
    next(first)
    assert list(compressing(path)) == []
    list(first)
    assert list(compressing(path)) == []
    assert StoredLog(path).piece(0, 10**6, None) == b"line\n" * 100


def test_the_tools_of_everybody_read_it(tmp_path: Path) -> None:
    if shutil.which("zstdcat") is None:
        pytest.skip("there is no zstdcat here")
    path = written(tmp_path, [(STDOUT, b"%d\n" % n) for n in range(2000)], 10**6)
    plain = path.read_bytes()
    with small_frames(1000):
        list(compressing(path))
    assert subprocess.check_output(["zstdcat", tmp_path / "1.log.zst"]) == plain


@pytest.mark.parametrize("kept", [slice(0), slice(-1), slice(40)])
def test_what_is_cut_off_is_an_error_of_the_disk(tmp_path: Path, kept: slice) -> None:
    path = written(tmp_path, [(STDOUT, b"a line\n" * 200)], 10**6)
    list(compressing(path))
    packed = tmp_path / "1.log.zst"
    packed.write_bytes(packed.read_bytes()[kept])
    with pytest.raises(OSError, match="damaged"):
        SeekableZstd(packed)


def test_a_changed_byte_is_an_error_of_the_disk_and_never_another_byte(tmp_path: Path) -> None:
    path = written(tmp_path, [(STDOUT, bytes(range(256)) * 9)], 10**6)
    list(compressing(path))
    packed = tmp_path / "1.log.zst"
    data = bytearray(packed.read_bytes())
    data[100] ^= 1
    packed.write_bytes(data)
    with pytest.raises(OSError, match="damaged"):
        SeekableZstd(packed).bytes(0, 10**6)


def test_an_empty_log_can_be_compressed(tmp_path: Path) -> None:
    path = written(tmp_path, [], 10**6)
    list(compressing(path))
    assert StoredLog(path).size == 0


# -- which logs ------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> FilesystemLogStore:
    return FilesystemLogStore(tmp_path / "logs")


@pytest.fixture
def upkeep(tmp_path: Path) -> FilesystemLogUpkeep:
    return FilesystemLogUpkeep(tmp_path / "logs")


def a_log(store: FilesystemLogStore, ref: LogRef, data: bytes, changed_at: datetime) -> Path:
    path = store.target(ref)
    writer = LogWriter(path)
    writer.write(Stream.STDOUT, data)
    writer.close()
    for file in (path, path.with_suffix(".idx")):
        os.utime(file, (changed_at.timestamp(),) * 2)
    return path


LARGE = b"a line of a log\n" * 1000


async def test_only_idle_logs_are_compressed_and_small_ones_stay_as_they_are(
    store: FilesystemLogStore,
    upkeep: FilesystemLogUpkeep,
) -> None:
    idle = a_log(store, REF, LARGE, NOW - timedelta(days=2))
    busy = a_log(store, LogRef(job_id=JOB, fence=2), LARGE, NOW)
    small = a_log(store, LogRef(job_id=JOB, fence=3), b"small\n", NOW - timedelta(days=2))
    assert await upkeep.compress_idle(NOW - timedelta(days=1), 10) == 1
    assert [path.exists() for path in (idle, busy, small)] == [False, True, True]
    assert b"".join([piece async for piece in store.read(REF, 0, 10**6)]) == LARGE
    assert await upkeep.compress_idle(NOW - timedelta(days=1), 10) == 0


async def test_retention_counts_from_the_last_write_and_not_from_the_compression(
    store: FilesystemLogStore,
    upkeep: FilesystemLogUpkeep,
) -> None:
    changed = NOW - timedelta(days=2)
    path = a_log(store, REF, LARGE, changed)
    await upkeep.compress_idle(NOW - timedelta(days=1), 10)
    packed = path.with_name(path.name + ".zst")
    assert packed.stat().st_mtime == changed.timestamp()
    assert await upkeep.prune_idle(changed - timedelta(hours=1), 10) == []
    assert await upkeep.prune_idle(changed + timedelta(hours=1), 10) == [JOB]
    with pytest.raises(LogNotFound):
        await store.extent(REF)


async def test_a_log_that_cannot_be_compressed_holds_up_no_other(
    store: FilesystemLogStore, upkeep: FilesystemLogUpkeep
) -> None:
    bad = a_log(store, REF, LARGE, NOW - timedelta(days=2))
    good = a_log(store, LogRef(job_id=JOB, fence=2), LARGE, NOW - timedelta(days=2))
    (bad.parent / "1.idx.zst.new").mkdir()
    with pytest.raises(OSError, match=r"1\.idx\.zst\.new"):
        await upkeep.compress_idle(NOW - timedelta(days=1), 10)
    assert (bad.exists(), good.exists()) == (True, False)
    assert (await store.extent(REF)).size == len(LARGE)


async def test_a_directory_of_the_volume_itself_is_no_log(
    store: FilesystemLogStore, upkeep: FilesystemLogUpkeep, tmp_path: Path
) -> None:
    a_log(store, REF, LARGE, NOW - timedelta(days=2))
    (tmp_path / "logs" / "lost+found").mkdir()
    assert await upkeep.compress_idle(NOW - timedelta(days=1), 10) == 1
    assert await upkeep.prune_idle(NOW, 10) == [JOB]


async def test_a_log_that_is_pruned_meanwhile_is_gone_and_leaves_nothing(
    store: FilesystemLogStore, upkeep: FilesystemLogUpkeep, tmp_path: Path
) -> None:
    path = a_log(store, REF, LARGE, NOW - timedelta(days=2))
    steps = compressing(path)
    next(steps)
    await upkeep.prune(JOB)
    with suppress(StopIteration):
        while True:
            next(steps)
    assert not path.parent.exists()
    assert list((tmp_path / "logs").rglob("*.zst*")) == []

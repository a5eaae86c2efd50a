"""Log files on a disk: who may read them, and what a crash or a stranger may leave in them."""

import asyncio
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from adapters.filesystem import log_files
from adapters.filesystem.log_growth import LogGrowth
from adapters.filesystem.log_paths import LogPaths
from adapters.filesystem.log_store import FilesystemLogStore
from adapters.filesystem.log_upkeep import FilesystemLogUpkeep
from adapters.process.supervisor.log_file import LogFile
from domain.errors import LogNotFound
from domain.log import LogRef, Stream
from domain.log_index import RECORD_BYTES, STDOUT, part_name
from tests.builders import CHANCE
from tests.log_writer import LogWriter

OUT, ERR = Stream.STDOUT, Stream.STDERR
OLD = UUID("01890000-0000-7000-8000-000000000001")
"""An id of the year 2023."""


@pytest.fixture
def store(tmp_path: Path) -> FilesystemLogStore:
    return FilesystemLogStore(tmp_path / "logs")


@pytest.fixture
def upkeep(tmp_path: Path) -> FilesystemLogUpkeep:
    return FilesystemLogUpkeep(tmp_path / "logs")


def a_log(store: FilesystemLogStore, *chunks: tuple[Stream, bytes], job_id: UUID | None = None) -> LogRef:
    ref = LogRef(job_id=job_id or CHANCE.new_id(), fence=1)
    writer = LogWriter(store.target(ref))
    for second, (stream, data) in enumerate(chunks):
        writer.write(stream, data, datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=second))
    writer.close()
    return ref


async def texts(store: FilesystemLogStore, ref: LogRef) -> list[str]:
    return [line.text for line in (await store.lines(ref, None, 100, final=True)).lines]


def test_directories_are_for_the_owner_alone(store: FilesystemLogStore, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        target = store.target(LogRef(job_id=CHANCE.new_id(), fence=1))
        assert LogFile(str(target), str(target.with_suffix(".idx")), 10**6).open()
    finally:
        os.umask(umask)
    made = [p for p in target.parents if p.is_relative_to(tmp_path / "logs")]
    assert len(made) == 4
    assert {stat.S_IMODE(directory.stat().st_mode) for directory in made} == {0o700}


def test_a_directory_that_retention_removes_beside_its_making_is_made_again(
    store: FilesystemLogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = store.target(LogRef(job_id=CHANCE.new_id(), fence=1))
    target.parents[1].mkdir(parents=True)
    mkdir, removed = os.mkdir, list[str]()

    def after_retention(path: str, mode: int) -> None:
        if not removed:
            removed.append(path)
            target.parents[1].rmdir()
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", after_retention)
    assert LogFile(str(target), str(target.with_suffix(".idx")), 10**6).open()
    assert removed == [str(target.parent)]
    assert target.exists()


async def test_a_symlink_a_fifo_and_a_directory_are_no_logs(
    store: FilesystemLogStore, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    targets = [store.target(LogRef(job_id=OLD, fence=fence)) for fence in (1, 2, 3)]
    targets[0].parent.mkdir(parents=True)
    targets[0].symlink_to(tmp_path / "secret")
    os.mkfifo(targets[1])
    targets[2].mkdir()
    for fence in (1, 2, 3):
        with pytest.raises(LogNotFound):
            await store.extent(LogRef(job_id=OLD, fence=fence))


async def test_a_torn_record_and_a_record_without_bytes_do_not_count(store: FilesystemLogStore) -> None:
    ref = a_log(store, (OUT, b"a\nb"), (ERR, b"c\n"))
    log = store.target(ref)
    os.truncate(log, 3)
    assert await texts(store, ref) == ["a", "b"]
    with log.with_suffix(".idx").open("ab") as index:
        index.write(b"torn")
    assert await texts(store, ref) == ["a", "b"]
    assert (await store.extent(ref, ERR)).size == 0


async def test_records_of_bytes_that_a_power_cut_took_do_not_count(store: FilesystemLogStore) -> None:
    ref = a_log(store, (OUT, b"a\nb"), (ERR, b"c\n"), (OUT, b"d\n"))
    os.truncate(store.target(ref), 2)
    assert await texts(store, ref) == ["a"]
    assert [(await store.extent(ref, stream)).size for stream in (OUT, ERR)] == [2, 0]


async def test_bytes_beyond_the_last_record_belong_to_the_last_run(store: FilesystemLogStore) -> None:
    ref = a_log(store, (OUT, b"a\n"), (ERR, b"b\n"), (OUT, b"c\n"))
    os.truncate(store.target(ref).with_suffix(".idx"), 2 * RECORD_BYTES)
    lines = (await store.lines(ref, None, 100, final=True)).lines
    assert [(line.number, line.text, line.stream) for line in lines] == [
        (1, "a", OUT),
        (2, "b", ERR),
        (3, "c", ERR),
    ]


@pytest.mark.parametrize("zeros", [1, 64, 4096, 10_000])
async def test_zeros_that_a_power_cut_left_in_the_index_do_not_count(
    store: FilesystemLogStore, zeros: int
) -> None:
    ref = a_log(store, (OUT, b"a\n"), (ERR, b"b\n"))
    with store.target(ref).with_suffix(".idx").open("ab") as index:
        index.write(bytes(zeros))
    assert await texts(store, ref) == ["a", "b"]
    assert (await store.extent(ref, ERR)).size == 2


async def test_a_record_that_cannot_be_read_joins_the_run_before(store: FilesystemLogStore) -> None:
    ref = a_log(store, (ERR, b"a\n"), (OUT, b"b\n"), (ERR, b"c\n"))
    with store.target(ref).with_suffix(".idx").open("r+b") as index:
        index.seek(RECORD_BYTES)
        index.write(bytes(RECORD_BYTES))
    lines = (await store.lines(ref, None, 100, final=True)).lines
    assert [(line.text, line.stream) for line in lines] == [("a", ERR), ("b", ERR), ("c", ERR)]


async def test_a_log_without_its_index_is_stdout_of_the_time_of_the_file(store: FilesystemLogStore) -> None:
    ref = a_log(store, (ERR, b"a\nb"))
    store.target(ref).with_suffix(".idx").unlink()
    os.utime(store.target(ref), (1000, 2000))
    lines = (await store.lines(ref, None, 100, final=True)).lines
    assert [(line.text, line.stream) for line in lines] == [("a", OUT), ("b", OUT)]
    assert {line.at for line in lines} == {datetime(1970, 1, 1, 0, 33, 20, tzinfo=UTC)}


async def test_a_log_that_is_pruned_while_it_is_read_is_read_to_its_end(
    store: FilesystemLogStore, upkeep: FilesystemLogUpkeep
) -> None:
    ref = a_log(store, (OUT, b"x" * 3_000_000))
    reading = store.read(ref, 0, 3_000_000)
    first = await anext(reading)
    await upkeep.prune(ref.job_id)
    assert len(first) + sum([len(piece) async for piece in reading]) == 3_000_000
    assert len(first) < 3_000_000


async def test_prune_leaves_no_empty_directory_of_old_jobs(
    store: FilesystemLogStore, upkeep: FilesystemLogUpkeep, tmp_path: Path
) -> None:
    a_log(store, (OUT, b"a"), job_id=OLD)
    other = a_log(store, (OUT, b"b"), job_id=UUID(int=OLD.int + 1))
    await upkeep.prune(OLD)
    assert (await store.extent(other)).size == 1
    await upkeep.prune(other.job_id)
    assert list((tmp_path / "logs").iterdir()) == []


async def test_prune_leaves_a_young_directory_for_the_next_job(
    store: FilesystemLogStore, upkeep: FilesystemLogUpkeep
) -> None:
    ref = a_log(store, (OUT, b"a"))
    await upkeep.prune(ref.job_id)
    assert not store.target(LogRef(job_id=ref.job_id, fence=2)).exists()
    slice_directory = store.target(ref).parent.parent
    await upkeep.prune(ref.job_id)
    assert slice_directory.is_dir()


async def test_prune_says_what_it_cannot_delete(
    store: FilesystemLogStore, upkeep: FilesystemLogUpkeep
) -> None:
    ref = a_log(store, (OUT, b"a"))
    (store.target(ref).parent / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        await upkeep.prune(ref.job_id)


async def test_a_log_that_is_being_written_stays_whatever_all_logs_take(
    store: FilesystemLogStore, upkeep: FilesystemLogUpkeep
) -> None:
    ref = LogRef(job_id=OLD, fence=1)
    path = store.target(ref)
    log = LogFile(str(path), str(path.with_suffix(".idx")), 10**6)
    log.append(STDOUT, 0, b"x" * 100_000)
    ended = a_log(store, (OUT, b"y" * 100_000))
    assert await upkeep.prune_beyond(1, 10) == [ended.job_id]
    log.close()
    assert await upkeep.prune_beyond(1, 10) == [OLD]
    assert not path.parent.exists()


async def test_a_directory_serves_the_hosts_that_write_into_it_and_no_others(tmp_path: Path) -> None:
    shared, other = FilesystemLogStore(tmp_path / "shared"), FilesystemLogStore(tmp_path / "other")
    await shared.announce("node-1")
    assert await FilesystemLogStore(tmp_path / "shared").serves("node-1")
    assert not await other.serves("node-1")
    assert not await shared.serves("node-2")
    a_log(shared, (OUT, b"a"), job_id=OLD)
    assert await FilesystemLogUpkeep(tmp_path / "shared").prune_idle(
        datetime.now(UTC) + timedelta(days=1), 10
    ) == [OLD]
    assert await shared.serves("node-1")


async def test_many_waiters_share_one_thread_which_ends_after_them(store: FilesystemLogStore) -> None:
    refs = [a_log(store, (OUT, b"a")) for _ in range(3)]
    growth, others = LogGrowth(), set(threading.enumerate())
    waits = [asyncio.create_task(growth.wait(store.target(ref), 1, 0.2)) for ref in refs for _ in range(50)]
    watching = False
    while not all(wait.done() for wait in waits):
        names = [thread.name for thread in set(threading.enumerate()) - others]
        watching = watching or "log-growth" in names
        assert names.count("log-growth") <= 1
        await asyncio.sleep(0.01)
    assert watching
    assert await asyncio.gather(*waits) == [False] * 150
    for thread in set(threading.enumerate()) - others:
        if thread.name == "log-growth":
            await asyncio.to_thread(thread.join, 20)
            assert not thread.is_alive()


async def test_followers_are_woken_by_the_kernel_without_a_thread(store: FilesystemLogStore) -> None:
    others = set(threading.enumerate())
    ref = a_log(store, (OUT, b"a"))
    waits = [asyncio.create_task(store.grown(ref, past, 20)) for past in [1] * 50 + [10**6]]
    assert await store.grown(ref, 0, 20)
    assert not await store.grown(ref, 1, 0.05)
    assert "log-growth" not in [thread.name for thread in set(threading.enumerate()) - others]
    with store.target(ref).open("ab") as log:
        log.write(b"b")
    assert await asyncio.gather(*waits[:50]) == [True] * 50
    assert not waits[50].done()
    waits[50].cancel()


async def test_a_follower_hears_of_a_new_part(store: FilesystemLogStore) -> None:
    ref = a_log(store, (OUT, b"a"))
    waiting = asyncio.create_task(store.grown(ref, 1, 20))
    assert not await store.grown(ref, 1, 0.05)
    log = store.target(ref)
    log.with_name(part_name(log.name, 1)).write_bytes(b"b")
    assert await waiting


async def test_a_log_that_is_not_there_yet_is_waited_for(store: FilesystemLogStore) -> None:
    ref = LogRef(job_id=CHANCE.new_id(), fence=1)
    waiting = asyncio.create_task(store.grown(ref, 0, 20))
    assert not await store.grown(ref, 0, 0.05)
    a_log(store, (OUT, b"a"), job_id=ref.job_id)
    assert await waiting


async def test_where_other_machines_may_write_it_looks_itself(
    store: FilesystemLogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.filesystem.inotify._LOCAL", frozenset())
    ref = a_log(store, (OUT, b"a"))
    waiting = asyncio.create_task(store.grown(ref, 1, 20))
    assert not await store.grown(ref, 1, 0.05)
    with store.target(ref).open("ab") as log:
        log.write(b"b")
    assert await waiting


async def test_a_log_that_goes_while_it_is_opened_is_no_log_and_not_one_of_one_stream(
    store: FilesystemLogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its index all would be stdout, and lines of two streams one."""
    ref = a_log(store, (OUT, b"half "), (ERR, b"warning\n"), (OUT, b"a line\n"))
    assert await texts(store, ref) == ["warning", "half a line"]
    opened = log_files.open_log

    def pruned_after(path: Path) -> log_files.LogBytes:
        log = opened(path)
        LogPaths(store.target(ref).parents[3]).remove(ref.job_id)
        return log

    monkeypatch.setattr(log_files, "open_log", pruned_after)
    with pytest.raises(LogNotFound):
        await store.lines(ref, None, 100, final=True)


def test_of_a_log_its_head_goes_first_and_its_indexes_last(
    store: FilesystemLogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So whoever reads meanwhile finds all of it or none."""
    head = store.target(LogRef(job_id=CHANCE.new_id(), fence=1))
    names = [
        "1.log",
        "1.log.zst",
        part_name("1.log", 9),
        part_name("1.log", 9) + ".zst",
        "1.idx",
        "1.idx.zst",
    ]
    head.parent.mkdir(parents=True)
    for name in reversed(names):
        (head.parent / name).touch()
    gone: list[str] = []
    unlink = Path.unlink

    def noted(path: Path, *, missing_ok: bool = False) -> None:
        gone.append(path.name)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    LogPaths(head.parents[3]).remove(UUID(head.parent.name))
    assert set(gone[:2]) == {"1.log", "1.log.zst"}
    assert {name.removesuffix(".zst")[-4:] for name in gone[2:4]} == {".log"}
    assert len(gone) == 6

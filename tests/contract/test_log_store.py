"""LogStore: what every place for logs promises."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from adapters.filesystem.log_store import FilesystemLogStore
from adapters.memory.log_store import MemoryLogStore
from application.ports.log_store import LogStore
from domain.errors import InvalidCursor, LogNotFound
from domain.log import MAX_PIECE_BYTES, Extent, Line, LogRef, Stream
from tests.builders import CHANCE
from tests.log_writer import LogWriter

OUT, ERR, SYSTEM = Stream.STDOUT, Stream.STDERR, Stream.SYSTEM
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON = 20.0

Write = Callable[[LogRef, Stream, bytes, datetime], Awaitable[None]]


def a_ref(job_id: UUID | None = None, fence: int = 1) -> LogRef:
    return LogRef(job_id=job_id or CHANCE.new_id(), fence=fence)


@dataclass(slots=True)
class Files:
    """The supervisor's side of the files."""

    store: FilesystemLogStore
    writers: dict[LogRef, LogWriter] = field(default_factory=dict)

    async def write(self, ref: LogRef, stream: Stream, data: bytes, at: datetime) -> None:
        if ref not in self.writers:
            self.writers[ref] = LogWriter(self.store.target(ref))
        self.writers[ref].write(stream, data, at)
        for file in self.store.target(ref).parent.iterdir():
            os.utime(file, (at.timestamp(), at.timestamp()))  # as if it were then


@dataclass(slots=True)
class Logs:
    """A store, and a hand that writes its logs: each chunk a second after the one before."""

    store: LogStore
    chunk: Write
    ref: LogRef = field(default_factory=a_ref)
    seconds: int = 0

    async def write(self, *chunks: tuple[Stream, bytes], ref: LogRef | None = None) -> None:
        for stream, data in chunks:
            await self.chunk(ref or self.ref, stream, data, NOON + timedelta(seconds=self.seconds))
            self.seconds += 1

    async def bytes(self, start: int = 0, stop: int = 10**12, stream: Stream | None = None) -> bytes:
        return b"".join([piece async for piece in self.store.read(self.ref, start, stop, stream)])

    async def lines(
        self, after: str | None = None, stream: Stream | None = None, *, limit: int = 100, final: bool = False
    ) -> list[Line]:
        """All pages from the cursor on."""
        lines: list[Line] = []
        while page := (await self.store.lines(self.ref, after, limit, stream, final=final)).lines:
            lines += page
            after = page[-1].cursor
        return lines

    async def texts(
        self, after: str | None = None, stream: Stream | None = None, *, limit: int = 100, final: bool = False
    ) -> list[str]:
        return [line.text for line in await self.lines(after, stream, limit=limit, final=final)]


@contextmanager
def on_files(directory: Path) -> Iterator[Logs]:
    files = Files(FilesystemLogStore(directory))
    try:
        yield Logs(files.store, files.write)
    finally:
        for writer in files.writers.values():
            writer.close()


@pytest.fixture(params=("memory", "filesystem"))
async def logs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Logs]:
    if request.param == "memory":
        memory = MemoryLogStore()
        yield Logs(memory, memory.write)
        return
    with on_files(tmp_path / "logs") as files:
        yield files


# -- bytes -----------------------------------------------------------------------------------------


async def test_bytes_come_back_as_they_were_written(logs: Logs) -> None:
    await logs.write((OUT, b"a\x00\xff\r\n"), (ERR, b"oops"), (OUT, b"\nend"))
    assert await logs.bytes() == b"a\x00\xff\r\noops\nend"
    assert await logs.store.size(logs.ref) == 13


async def test_a_range_is_half_open_and_ends_with_the_log(logs: Logs) -> None:
    await logs.write((OUT, b"0123456789"))
    assert await logs.bytes(2, 5) == b"234"
    assert await logs.bytes(8, 99) == b"89"
    assert await logs.bytes(5, 5) == b""
    assert await logs.bytes(5, 2) == b""
    assert await logs.bytes(99, 200) == b""


async def test_a_stream_is_read_by_its_own_bytes(logs: Logs) -> None:
    await logs.write((OUT, b"one"), (ERR, b"ERR"), (OUT, b"two"), (SYSTEM, b"sys\n"), (ERR, b"OR"))
    assert [await logs.store.size(logs.ref, stream) for stream in Stream] == [6, 5, 4]
    assert [await logs.bytes(stream=stream) for stream in Stream] == [b"onetwo", b"ERROR", b"sys\n"]
    assert await logs.bytes(2, 5, OUT) == b"etw"
    assert await logs.bytes(3, 4, ERR) == b"O"


async def test_a_large_log_comes_in_bounded_pieces(logs: Logs) -> None:
    chunk = bytes(range(256)) * 1024
    await logs.write(*[(stream, chunk) for stream in (OUT, ERR) for _ in range(4)])
    assert await logs.bytes() == chunk * 8
    assert await logs.bytes(stream=ERR) == chunk * 4


async def test_what_was_never_written_is_not_found(logs: Logs) -> None:
    reads: list[Awaitable[object]] = [
        logs.store.size(logs.ref),
        logs.store.lines(logs.ref, None, 10, final=True),
        logs.store.tail(logs.ref, 10),
        logs.bytes(),
    ]
    for read in reads:
        with pytest.raises(LogNotFound):
            await read


async def test_each_claim_has_a_log_of_its_own(logs: Logs) -> None:
    other = a_ref(logs.ref.job_id, fence=2)
    await logs.write((OUT, b"first"))
    await logs.write((OUT, b"second!"), ref=other)
    assert await logs.bytes() == b"first"
    assert await logs.store.size(other) == 7


# -- lines -----------------------------------------------------------------------------------------


async def test_lines_have_number_stream_and_time(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb\n"), (ERR, b"c\n"))
    seen = [(line.number, line.text, line.stream, line.at) for line in await logs.lines()]
    later = NOON + timedelta(seconds=1)
    assert seen == [(1, "a", OUT, NOON), (2, "b", OUT, NOON), (3, "c", ERR, later)]


async def test_a_line_that_another_stream_interrupts_stays_whole(logs: Logs) -> None:
    await logs.write((OUT, b"hel"), (ERR, b"oops\n"), (OUT, b"lo\n"))
    lines = await logs.lines()
    assert [(line.number, line.text, line.stream) for line in lines] == [(1, "oops", ERR), (2, "hello", OUT)]
    assert lines[1].at == NOON + timedelta(seconds=2)


async def test_a_line_without_newline_is_told_at_the_end_alone(logs: Logs) -> None:
    await logs.write((OUT, b"done\nhalf"), (ERR, b"why"))
    assert await logs.texts() == ["done"]
    assert await logs.texts(final=True) == ["done", "half", "why"]
    assert [line.number for line in await logs.lines(final=True)] == [1, 2, 3]
    assert await logs.texts(final=True, limit=1) == ["done", "half", "why"]


async def test_numbers_do_not_depend_on_the_filter(logs: Logs) -> None:
    await logs.write((OUT, b"a\n"), (ERR, b"b\n"), (OUT, b"c\n"), (ERR, b"d\ne"))
    lines = await logs.lines(stream=ERR, final=True)
    assert [(line.number, line.text) for line in lines] == [(2, "b"), (4, "d"), (5, "e")]


async def test_an_empty_line_is_a_line(logs: Logs) -> None:
    await logs.write((OUT, b"\n\na\n"))
    assert await logs.texts(limit=1) == ["", "", "a"]


async def test_bytes_that_are_no_text_are_shown_as_replacement_characters(logs: Logs) -> None:
    await logs.write((OUT, b"a\xffb\x00\nM\xc3"), (OUT, b"\xbcnchen\n"))
    assert await logs.texts() == ["a\ufffdb\x00", "München"]


@pytest.mark.parametrize("final", [False, True])
async def test_a_long_line_comes_in_pieces_that_cut_no_character(logs: Logs, final: bool) -> None:  # noqa: FBT001 - a parameter of the test
    text = "€" * MAX_PIECE_BYTES
    await logs.write((OUT, b"before\n"), (OUT, text.encode()), (ERR, b"between\n"))
    if not final:
        await logs.write((OUT, b"\n"))
    for limit in (1, 2, 100):
        pieces = (await logs.lines(limit=limit, final=final))[2:]
        assert "".join(piece.text for piece in pieces) == text
        assert [piece.partial for piece in pieces] == [True] * (len(pieces) - 1) + [False]
        assert {piece.number for piece in pieces} == {3}
        assert max(len(piece.text.encode()) for piece in pieces) <= MAX_PIECE_BYTES
        assert len(pieces) > 3


async def test_a_page_of_long_lines_ends_early(logs: Logs) -> None:
    await logs.write(*[(OUT, b"x" * 60_000 + b"\n") for _ in range(40)])
    page = await logs.store.lines(logs.ref, None, 100, final=False)
    assert 10 < len(page.lines) < 30
    assert len(await logs.texts()) == 40


# -- cursors ---------------------------------------------------------------------------------------


async def test_a_reader_goes_on_where_it_was_while_the_log_grows(logs: Logs) -> None:
    chunks = [(OUT, b"a"), (ERR, b"1\n2"), (OUT, b"b\nc"), (SYSTEM, b"s\n"), (ERR, b"\n"), (OUT, b"d\n")]
    cursor, seen = None, []
    for chunk in chunks:
        await logs.write(chunk)
        page = await logs.store.lines(logs.ref, cursor, 100, final=False)
        seen += [line.text for line in page.lines]
        cursor = page.cursor
    assert seen == ["1", "ab", "s", "2", "cd"]


async def test_every_line_can_be_resumed_after(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb"), (ERR, b"1\n2"), (OUT, b"c\n\nd"), (ERR, b"3\n"))
    lines = await logs.lines(final=True)
    for count, line in enumerate(lines, 1):
        assert await logs.lines(line.cursor, final=True) == lines[count:]


async def test_the_page_at_the_end_stays_at_the_end(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb"), (ERR, b"c"))
    page = await logs.store.lines(logs.ref, None, 100, final=True)
    after = await logs.store.lines(logs.ref, page.cursor, 100, final=True)
    assert (after.lines, after.cursor, after.size) == ((), page.cursor, 4)


async def test_a_page_of_no_lines_moves_nowhere(logs: Logs) -> None:
    await logs.write((OUT, b"a\n"))
    page = await logs.store.lines(logs.ref, None, 0, final=True)
    assert page.lines == ()
    assert await logs.texts(page.cursor) == ["a"]


async def test_cursors_are_plain_characters_for_a_url(logs: Logs) -> None:
    await logs.write((OUT, b"x" * 200_000 + b"\nb"))
    assert all(set(line.cursor) <= set("0123456789abcdef-") for line in await logs.lines(final=True))


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "0", "0-0", "0-0-0-0", "00-0-0", "0-0-0\n", " 0-0-0", "0-0-0\0", "A-0-0", "٣-0-0"),
        *("-1-0-0", "3-0-0", "0-9-0", "0-0-4", "f" * 16 + "-0-0", "f" * 99 + "-0-0"),
    ],
)
async def test_a_cursor_from_elsewhere_is_refused(logs: Logs, cursor: str) -> None:
    await logs.write((OUT, b"\na"))
    with pytest.raises(InvalidCursor):
        await logs.store.lines(logs.ref, cursor, 10, final=True)


# -- the end first ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "texts", "offset"),
    [
        (0, [], 11),
        (1, ["f"], 10),
        (2, ["e", "f"], 8),
        (3, ["dd", "e", "f"], 5),
        (5, ["aa", "c", "dd", "e", "f"], 0),
    ],
)
async def test_the_tail_begins_before_the_last_lines(
    logs: Logs, count: int, texts: list[str], offset: int
) -> None:
    await logs.write((OUT, b"aa\n"), (ERR, b"c\nd"), (ERR, b"d\n"), (OUT, b"e\n"), (OUT, b"f"))
    cursor, begins = await logs.store.tail(logs.ref, count)
    assert await logs.texts(cursor, final=True) == texts
    assert begins == offset


@pytest.mark.parametrize("count", [5, 6, 1000])
async def test_a_tail_longer_than_the_log_is_the_log(logs: Logs, count: int) -> None:
    await logs.write((OUT, b"a\n"), (ERR, b"b\nc\n"), (OUT, b"d\n"), (ERR, b"e"))
    cursor, begins = await logs.store.tail(logs.ref, count)
    assert len(await logs.texts(cursor, final=True)) == 5
    assert begins == 0


@pytest.mark.parametrize(
    ("count", "texts", "offset"), [(0, [], 8), (1, ["g"], 7), (2, ["ef", "g"], 4), (3, ["c", "ef", "g"], 2)]
)
async def test_the_tail_of_a_stream_counts_its_own_lines_and_bytes(
    logs: Logs, count: int, texts: list[str], offset: int
) -> None:
    await logs.write((OUT, b"a\nc\ne"), (ERR, b"1\n2\n3"), (OUT, b"f\ng"), (ERR, b"\n4\n5"))
    cursor, begins = await logs.store.tail(logs.ref, count, OUT)
    assert await logs.texts(cursor, OUT, final=True) == texts
    assert begins == offset
    assert await logs.bytes(begins, stream=OUT) == "\n".join(texts).encode()


async def test_the_tail_of_an_empty_log_is_empty(logs: Logs) -> None:
    await logs.write((OUT, b""))
    cursor, begins = await logs.store.tail(logs.ref, 10)
    assert begins == 0
    assert await logs.texts(cursor, final=True) == []


async def test_what_is_written_after_a_tail_follows_it(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb"), (ERR, b"1"))
    cursor, _ = await logs.store.tail(logs.ref, 0)
    await logs.write((OUT, b"c\n"), (ERR, b"2\n"))
    assert await logs.texts(cursor) == ["bc", "12"]


# -- growth ----------------------------------------------------------------------------------------


async def test_a_log_that_is_larger_already_has_grown(logs: Logs) -> None:
    await logs.write((OUT, b"abc"))
    assert await logs.store.grown(logs.ref, 2, SOON)
    assert await logs.store.grown(logs.ref, 2, 0)


async def test_a_log_that_does_not_grow_is_waited_for_in_vain(logs: Logs) -> None:
    assert not await logs.store.grown(logs.ref, 0, 0.05)
    await logs.write((OUT, b"abc"))
    assert not await logs.store.grown(logs.ref, 3, 0.05)
    assert not await logs.store.grown(logs.ref, 3, 0)


async def test_growth_wakes_all_who_wait_also_for_a_log_that_is_not_there_yet(logs: Logs) -> None:
    waits = [asyncio.create_task(logs.store.grown(logs.ref, 0, SOON)) for _ in range(500)]
    patient = asyncio.create_task(logs.store.grown(logs.ref, 3, SOON))
    await asyncio.sleep(0)
    await logs.write((OUT, b"abc"))
    assert await asyncio.gather(*waits) == [True] * 500
    assert not patient.done()
    await logs.write((ERR, b"d"))
    assert await patient


async def test_a_reader_that_waits_for_growth_reads_every_line(logs: Logs) -> None:
    async def follow() -> list[str]:
        seen: list[str] = []
        cursor, size = None, 0
        while len(seen) < 200:
            assert await logs.store.grown(logs.ref, size, SOON)
            page = await logs.store.lines(logs.ref, cursor, 7, final=False)
            seen += [line.text for line in page.lines]
            cursor, size = page.cursor, page.size if not page.lines else 0
        return seen

    readers = [asyncio.create_task(follow()) for _ in range(5)]
    for number in range(200):
        await logs.write((ERR, b"."), (OUT, b"line %d" % number), (ERR, b"."), (OUT, b"\n"))
        await asyncio.sleep(0)
    for seen in await asyncio.gather(*readers):
        assert seen == [f"line {number}" for number in range(200)]


async def test_a_wait_for_growth_can_be_cancelled(logs: Logs) -> None:
    wait = asyncio.create_task(logs.store.grown(logs.ref, 0, SOON))
    await asyncio.sleep(0)
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait


# -- which machines ---------------------------------------------------------------------------------


async def test_a_host_that_writes_here_is_served_whatever_its_name(logs: Logs) -> None:
    for host in ("node-1", "../../etc", "a b/ü"):
        await logs.store.announce(host)
        await logs.store.announce(host)
        assert await logs.store.serves(host)


# -- prune -----------------------------------------------------------------------------------------


async def test_prune_deletes_every_log_of_the_job_and_of_no_other(logs: Logs) -> None:
    second, other = a_ref(logs.ref.job_id, fence=2), a_ref()
    for ref in (logs.ref, second, other):
        await logs.write((OUT, b"a\n"), ref=ref)
    await logs.store.prune(logs.ref.job_id)
    for ref in (logs.ref, second):
        with pytest.raises(LogNotFound):
            await logs.store.size(ref)
    assert await logs.store.size(other) == 2
    await logs.store.prune(logs.ref.job_id)


def submitted(hours: int) -> LogRef:
    """A log of a job that was submitted so many hours after noon."""
    made_ms = int((NOON + timedelta(hours=hours)).timestamp() * 1000)
    return a_ref(UUID(int=made_ms << 80 | 7 << 76 | 0b10 << 62))


async def test_idle_logs_of_old_jobs_are_pruned_the_oldest_first_and_no_others(logs: Logs) -> None:
    oldest, old, busy, young = submitted(0), submitted(10), submitted(20), submitted(40)
    for ref, hour in ((old, 10), (young, 40), (busy, 35), (oldest, 0)):
        await logs.chunk(ref, OUT, b"a\n", NOON + timedelta(hours=hour))
    since = NOON + timedelta(hours=30)
    assert await logs.store.prune_idle(since, 1) == [oldest.job_id]
    assert await logs.store.prune_idle(since, 10) == [old.job_id]
    assert await logs.store.prune_idle(since, 10) == []
    assert await logs.store.size(busy) == await logs.store.size(young) == 2


async def test_beyond_a_size_the_logs_written_longest_ago_go_first(logs: Logs) -> None:
    written_first, younger_but_idle, still_written = submitted(5), submitted(10), submitted(0)
    for ref, hour in ((written_first, 6), (younger_but_idle, 11), (still_written, 12)):
        await logs.chunk(ref, OUT, b"x" * 100_000, NOON + timedelta(hours=hour))
    assert await logs.store.prune_beyond(400_000, 10) == []
    assert await logs.store.prune_beyond(250_000, 10) == [written_first.job_id]
    assert await logs.store.prune_beyond(250_000, 10) == []
    assert await logs.store.prune_beyond(1, 1) == [younger_but_idle.job_id]
    assert await logs.store.size(still_written) == 100_000
    for ref in (written_first, younger_but_idle):
        with pytest.raises(LogNotFound):
            await logs.store.size(ref)


async def test_a_reader_is_told_when_its_log_is_pruned(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb\n"))
    page = await logs.store.lines(logs.ref, None, 1, final=True)
    await logs.store.prune(logs.ref.job_id)
    with pytest.raises(LogNotFound):
        await logs.store.lines(logs.ref, page.cursor, 1, final=True)


# -- compression ----------------------------------------------------------------------------------


async def test_idle_logs_are_compressed_once_and_read_as_before(logs: Logs) -> None:
    text = b"".join(b"line %d\n" % n for n in range(2000))
    logs.ref, other = submitted(-1), submitted(0)
    await logs.write((OUT, text), (ERR, b"oops\n" * 1000), (OUT, b"end"))
    await logs.chunk(other, OUT, text, NOON + timedelta(hours=2))
    first = await logs.store.lines(logs.ref, None, 1500, final=True)
    before = [await logs.bytes(), await logs.bytes(5, 5000, ERR), await logs.lines(final=True)]
    assert await logs.store.compress_idle(NOON, 10) == 0
    assert await logs.store.compress_idle(NOON + timedelta(hours=1), 10) == 1
    assert await logs.store.compress_idle(NOON + timedelta(hours=1), 10) == 0
    assert [await logs.bytes(), await logs.bytes(5, 5000, ERR), await logs.lines(final=True)] == before
    rest = await logs.store.lines(logs.ref, first.cursor, 10_000, final=True)
    assert [line.number for line in rest.lines] == list(range(1501, 3002))
    assert await logs.store.compress_idle(NOON + timedelta(hours=3), 10) == 1
    assert await logs.store.compress_idle(NOON + timedelta(hours=3), 10) == 0
    await logs.store.prune(logs.ref.job_id)
    with pytest.raises(LogNotFound):
        await logs.store.size(logs.ref)


# -- search, and lines as a terminal shows them ------------------------------------------------------


async def test_a_search_gives_only_lines_with_the_text(logs: Logs) -> None:
    await logs.write((OUT, b"one\ntwo\nthr"), (ERR, b"no\n"), (OUT, b"ee\nlast one"))

    async def found(text: str, *, final: bool = True) -> list[tuple[int, str]]:
        page = await logs.store.lines(logs.ref, None, 100, final=final, contains=text)
        return [(line.number, line.text) for line in page.lines]

    assert await found("one") == [(1, "one"), (5, "last one")]
    assert await found("one", final=False) == [(1, "one")]
    assert await found("three") == [(4, "three")]
    assert await found("One") == []


async def test_a_progress_bar_is_its_last_state(logs: Logs) -> None:
    await logs.write((OUT, b"10 %\r50 %\r100 %\nwindows\r\n"), (OUT, b"1\r2\r"))
    assert await logs.texts(final=True) == ["100 %", "windows", "2"]


async def test_a_progress_bar_of_many_states_is_one_line(logs: Logs) -> None:
    await logs.write((OUT, b"".join(b"%d %%\r" % n for n in range(50_000)) + b"\n"))
    lines = await logs.lines()
    assert [(line.text, line.partial) for line in lines] == [("49999 %", False)]


async def test_an_uncut_log_is_kept_as_a_whole(logs: Logs) -> None:
    await logs.write((OUT, b"ab"), (ERR, b"c"))
    assert await logs.store.extent(logs.ref) == Extent(3, 3, 3)
    assert await logs.store.extent(logs.ref, ERR) == Extent(1, 1, 1)

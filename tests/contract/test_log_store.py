"""LogStore: what every place for logs promises of their bytes, of their growth, and of where they are."""

import asyncio
from collections.abc import Awaitable

import pytest

from domain.errors import LogNotFound
from domain.log import Extent, Stream
from tests.contract.written_logs import ERR, OUT, SYSTEM, Logs, a_ref

SOON = 20.0

# -- bytes -----------------------------------------------------------------------------------------


async def test_bytes_come_back_as_they_were_written(logs: Logs) -> None:
    await logs.write((OUT, b"a\x00\xff\r\n"), (ERR, b"oops"), (OUT, b"\nend"))
    assert await logs.bytes() == b"a\x00\xff\r\noops\nend"
    assert (await logs.store.extent(logs.ref)).size == 13


async def test_a_range_is_half_open_and_ends_with_the_log(logs: Logs) -> None:
    await logs.write((OUT, b"0123456789"))
    assert await logs.bytes(2, 5) == b"234"
    assert await logs.bytes(8, 99) == b"89"
    assert await logs.bytes(5, 5) == b""
    assert await logs.bytes(5, 2) == b""
    assert await logs.bytes(99, 200) == b""


async def test_a_stream_is_read_by_its_own_bytes(logs: Logs) -> None:
    await logs.write((OUT, b"one"), (ERR, b"ERR"), (OUT, b"two"), (SYSTEM, b"sys\n"), (ERR, b"OR"))
    assert [(await logs.store.extent(logs.ref, stream)).size for stream in Stream] == [6, 5, 4]
    assert [await logs.bytes(stream=stream) for stream in Stream] == [b"onetwo", b"ERROR", b"sys\n"]
    assert await logs.bytes(2, 5, OUT) == b"etw"
    assert await logs.bytes(3, 4, ERR) == b"O"


async def test_a_large_log_comes_in_bounded_pieces(logs: Logs) -> None:
    chunk = bytes(range(256)) * 1024
    await logs.write(*[(stream, chunk) for stream in (OUT, ERR) for _ in range(4)])
    for stream, count in ((None, 8), (ERR, 4)):
        pieces = [piece async for piece in logs.store.read(logs.ref, 0, 10**12, stream)]
        assert b"".join(pieces) == chunk * count
        assert max(len(piece) for piece in pieces) <= 2**20


async def test_what_was_never_written_is_not_found(logs: Logs) -> None:
    reads: list[Awaitable[object]] = [
        logs.store.extent(logs.ref),
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
    assert (await logs.store.extent(other)).size == 7


async def test_an_uncut_log_is_kept_as_a_whole(logs: Logs) -> None:
    await logs.write((OUT, b"ab"), (ERR, b"c"))
    assert await logs.store.extent(logs.ref) == Extent(3, 3, 3)
    assert await logs.store.extent(logs.ref, ERR) == Extent(1, 1, 1)


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


# -- which machines --------------------------------------------------------------------------------


async def test_a_host_that_writes_here_is_served_whatever_its_name(logs: Logs) -> None:
    for host in ("node-1", "../../etc", "a b/ü"):
        await logs.store.announce(host)
        await logs.store.announce(host)
        assert await logs.store.serves(host)

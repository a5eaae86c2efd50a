"""LogUpkeep: what becomes of logs that have grown old."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.errors import LogNotFound
from domain.log import LogRef
from tests.contract.written_logs import ERR, NOON, OUT, Logs, a_ref

# -- prune -----------------------------------------------------------------------------------------


async def test_prune_deletes_every_log_of_the_job_and_of_no_other(logs: Logs) -> None:
    second, other = a_ref(logs.ref.job_id, fence=2), a_ref()
    for ref in (logs.ref, second, other):
        await logs.write((OUT, b"a\n"), ref=ref)
    await logs.upkeep.prune(logs.ref.job_id)
    for ref in (logs.ref, second):
        with pytest.raises(LogNotFound):
            await logs.store.extent(ref)
    assert (await logs.store.extent(other)).size == 2
    await logs.upkeep.prune(logs.ref.job_id)


def submitted(hours: int) -> LogRef:
    """A log of a job that was submitted so many hours after noon."""
    made_ms = int((NOON + timedelta(hours=hours)).timestamp() * 1000)
    return a_ref(UUID(int=made_ms << 80 | 7 << 76 | 0b10 << 62))


async def test_idle_logs_of_old_jobs_are_pruned_the_oldest_first_and_no_others(logs: Logs) -> None:
    oldest, old, busy, young = submitted(0), submitted(10), submitted(20), submitted(40)
    for ref, hour in ((old, 10), (young, 40), (busy, 35), (oldest, 0)):
        await logs.chunk(ref, OUT, b"a\n", NOON + timedelta(hours=hour))
    since = NOON + timedelta(hours=30)
    assert await logs.upkeep.prune_idle(since, 1) == [oldest.job_id]
    assert await logs.upkeep.prune_idle(since, 10) == [old.job_id]
    assert await logs.upkeep.prune_idle(since, 10) == []
    assert (await logs.store.extent(busy)).size == (await logs.store.extent(young)).size == 2


async def test_beyond_a_size_the_logs_written_longest_ago_go_first(logs: Logs) -> None:
    written_first, younger_but_idle, still_written = submitted(5), submitted(10), submitted(0)
    for ref, hour in ((written_first, 6), (younger_but_idle, 11), (still_written, 12)):
        await logs.chunk(ref, OUT, b"x" * 100_000, NOON + timedelta(hours=hour))
    assert await logs.upkeep.prune_beyond(400_000, 10) == []
    assert await logs.upkeep.prune_beyond(250_000, 10) == [written_first.job_id]
    assert await logs.upkeep.prune_beyond(250_000, 10) == []
    assert await logs.upkeep.prune_beyond(1, 1) == [younger_but_idle.job_id]
    assert (await logs.store.extent(still_written)).size == 100_000
    for ref in (written_first, younger_but_idle):
        with pytest.raises(LogNotFound):
            await logs.store.extent(ref)


async def test_a_reader_is_told_when_its_log_is_pruned(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb\n"))
    page = await logs.store.lines(logs.ref, None, 1, final=True)
    await logs.upkeep.prune(logs.ref.job_id)
    with pytest.raises(LogNotFound):
        await logs.store.lines(logs.ref, page.cursor, 1, final=True)


# -- compression -----------------------------------------------------------------------------------


async def test_idle_logs_are_compressed_once_and_read_as_before(logs: Logs) -> None:
    text = b"".join(b"line %d\n" % n for n in range(2000))
    logs.ref, other = submitted(-1), submitted(0)
    await logs.write((OUT, text), (ERR, b"oops\n" * 1000), (OUT, b"end"))
    await logs.chunk(other, OUT, text, NOON + timedelta(hours=2))
    first = await logs.store.lines(logs.ref, None, 1500, final=True)
    before = [await logs.bytes(), await logs.bytes(5, 5000, ERR), await logs.lines(final=True)]
    assert await logs.upkeep.compress_idle(NOON, 10) == 0
    assert await logs.upkeep.compress_idle(NOON + timedelta(hours=1), 10) == 1
    assert await logs.upkeep.compress_idle(NOON + timedelta(hours=1), 10) == 0
    assert [await logs.bytes(), await logs.bytes(5, 5000, ERR), await logs.lines(final=True)] == before
    rest = await logs.store.lines(logs.ref, first.cursor, 10_000, final=True)
    assert [line.number for line in rest.lines] == list(range(1501, 3002))
    assert await logs.upkeep.compress_idle(NOON + timedelta(hours=3), 10) == 1
    assert await logs.upkeep.compress_idle(NOON + timedelta(hours=3), 10) == 0
    await logs.upkeep.prune(logs.ref.job_id)
    with pytest.raises(LogNotFound):
        await logs.store.extent(logs.ref)

from dataclasses import replace
from uuid import UUID

import pytest

from application.read_log import FindLog, Position, ReadLogBytes, ReadLogLines
from domain.errors import AttemptNotFound, InvalidCursor, JobNotFound, LogElsewhere, LogGone
from domain.log import Extent, Stream
from domain.shown_log import ShownLog
from tests.builders import failed, repeatable, report_of
from tests.unit.application.worlds import World, ref_of


@pytest.mark.parametrize("position", [Position(), Position(3), Position(12, "5.0")])
def test_a_position_reads_back_what_it_wrote(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "1", "x.1", "-1.2", "\u0661.2", "1234567890.1", " 1.2"])
def test_a_cursor_from_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        Position.parse(text)


async def test_the_latest_attempt_is_meant_unless_one_is_named(world: World) -> None:
    first = await world.started(retry=repeatable(2))
    await world.queue.report([report_of(first, failed())])
    assert world.held.session_id is not None
    second = (await world.queue.claim(world.held.session_id, 1))[0]
    find = FindLog(world.history)
    assert ((await find(first.id)).ref, (await find(first.id)).complete) == (ref_of(second), False)
    assert (await find(first.id, attempt=1)).ref == (await find(first.id, fence=1)).ref == ref_of(first)
    assert (await find(first.id, attempt=1)).complete


async def test_an_attempt_that_is_not_there_is_not_found(world: World) -> None:
    job = await world.queued()
    with pytest.raises(AttemptNotFound):
        await FindLog(world.history)(job.id)
    with pytest.raises(JobNotFound):
        await FindLog(world.history)(UUID(int=7))


async def test_an_attempt_that_has_not_written_has_an_empty_log(world: World) -> None:
    log = await FindLog(world.history)((await world.started()).id)
    page = await ReadLogLines(world.logs)(log, Position(), 10)
    assert (page.lines, page.size) == ((), 0)
    assert Position.parse(page.cursor) == Position(log.ref.fence)
    read = ReadLogBytes(world.logs)
    assert (await read.extent(log), await read.tail(log, 5)) == (Extent(0, 0, 0), 0)


async def test_pages_of_lines_follow_each_other_by_cursor(world: World) -> None:
    job = await world.started()
    await world.logs.write(ref_of(job), Stream.STDOUT, b"one\ntwo\nthree\n")
    log, read = await FindLog(world.history)(job.id), ReadLogLines(world.logs)
    first = await read(log, Position(), 2)
    second = await read(log, Position.parse(first.cursor), 2)
    assert [line.text for line in (*first.lines, *second.lines)] == ["one", "two", "three"]


async def test_the_tail_begins_at_the_last_lines(world: World) -> None:
    job = await world.started()
    await world.logs.write(ref_of(job), Stream.STDOUT, b"one\ntwo\nthree\n")
    read = ReadLogBytes(world.logs)
    log = await FindLog(world.history)(job.id)
    shown = ShownLog(await read.extent(log), await read.tail(log, 2))
    assert b"".join([piece async for piece in read(log, shown, range(shown.length))]) == b"two\nthree\n"


async def test_a_log_that_another_machine_keeps_is_told_with_its_name(world: World) -> None:
    job = await world.started()
    world.logs.elsewhere.add("host-1")
    log, read = await FindLog(world.history)(job.id), ReadLogBytes(world.logs)
    with pytest.raises(LogElsewhere, match="host-1"):
        await ReadLogLines(world.logs)(log, Position(), 10)
    with pytest.raises(LogElsewhere, match="host-1"):
        await read.extent(log)
    await world.logs.write(ref_of(job), Stream.STDOUT, b"it is here")
    assert (await read.extent(log)).size == 10


async def test_a_log_that_is_gone_from_where_it_was_is_not_said_to_be_elsewhere(world: World) -> None:
    job = await world.started()
    ending = failed()
    written = replace(ending, exit=replace(ending.exit, log_bytes=5))
    await world.queue.report([report_of(job, written)])
    log = await FindLog(world.history)(job.id)
    with pytest.raises(LogGone):
        await ReadLogLines(world.logs)(log, Position(), 10)
    world.logs.elsewhere.add("host-1")
    with pytest.raises(LogElsewhere):
        await ReadLogLines(world.logs)(log, Position(), 10)


async def test_an_attempt_that_ended_without_a_byte_has_an_empty_log_wherever_it_ran(world: World) -> None:
    job = await world.started()
    await world.queue.report([report_of(job, failed())])
    world.logs.elsewhere.add("host-1")
    log = await FindLog(world.history)(job.id)
    assert (await ReadLogLines(world.logs)(log, Position(), 10)).lines == ()

"""Following a log: each line once and in order, over all attempts, and the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from uuid import UUID

import pytest

from application.follow_log import FollowLog, LogEnd, LogLost, Quiet
from application.job_reads import JobReads
from application.log_pages import LogPage, LogPages
from application.ports.notifier import JobChanged, Reconnected
from domain.errors import InvalidCursor, LogElsewhere
from domain.job import Job, JobState
from domain.log import Line, Stream
from tests.builders import claim_of, failed, repeatable, report_of
from tests.unit.application.worlds import World, ref_of

WAIT = 30.0


Each = Line | Job | LogEnd | LogLost | Quiet
Follow = Callable[..., AsyncIterator[Each]]


def follow(world: World) -> Follow:
    """Line by line, however many come at once."""
    following = FollowLog(JobReads(world.history), LogPages(world.logs), world.logs, world.notifier)

    async def each(
        job_id: UUID, after: str | None = None, stream: Stream | None = None
    ) -> AsyncIterator[Each]:
        events = following(job_id, after, stream)
        try:
            async for event in events:
                if isinstance(event, LogPage):
                    for line in event.lines:
                        yield line
                else:
                    yield event
        finally:
            await events.aclose()  # type: ignore[attr-defined]  # async generators have it

    return each


async def write(world: World, job: Job, text: str, stream: Stream = Stream.STDOUT) -> None:
    await world.logs.write(ref_of(job), stream, text.encode())


async def end(world: World, job: Job, *, well: bool = True) -> Job:
    after = (await world.queue.report([report_of(job, None if well else failed())]))[0]
    world.notifier.publish(JobChanged(job.id))
    return after


async def second_attempt(world: World, job: Job) -> Job:
    """The next claim of a job that is queued again, started."""
    assert world.held.session_id is not None
    claimed = (await world.queue.claim(world.held.session_id, 1))[0]
    assert claimed.id == job.id
    await world.queue.start([claim_of(claimed)])
    world.notifier.publish(JobChanged(job.id))
    return claimed


async def next_of(events: AsyncIterator[Each]) -> Each:
    return await asyncio.wait_for(anext(events), WAIT)


async def next_line(events: AsyncIterator[Each]) -> Line:
    while not isinstance(event := await next_of(events), Line):
        pass
    return event


async def everything(events: AsyncIterator[Each]) -> list[Each]:
    async with asyncio.timeout(WAIT):
        return [event async for event in events]


def texts(events: list[Each]) -> list[str]:
    return [event.text for event in events if isinstance(event, Line)]


def states(events: list[Each]) -> list[JobState]:
    return [event.state for event in events if isinstance(event, Job)]


async def failed_twice(world: World) -> Job:
    """A job of two attempts, each of which wrote two lines."""
    job = await world.started(retry=repeatable(2))
    await write(world, job, "one\ntwo\n")
    await end(world, job, well=False)
    again = await second_attempt(world, job)
    await write(world, again, "three\nfour\n")
    return await end(world, again, well=False)


async def test_a_finished_log_is_told_from_its_first_line_to_the_end(world: World) -> None:
    job = await world.started()
    await write(world, job, "one\ntwo\nno newline")
    after = await end(world, job)
    events = await everything(follow(world)(job.id))
    assert texts(events) == ["one", "two", "no newline"]
    assert states(events) == [JobState.SUCCEEDED]
    assert events[-1] == LogEnd(after)


@pytest.mark.parametrize("notice", [JobChanged, lambda _: Reconnected()])
async def test_a_notice_wakes_the_reader_before_the_next_look(
    world: World, notice: type[JobChanged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.follow_log.POLL_SECONDS", 60.0)
    job = await world.started()
    events = follow(world)(job.id)
    await next_of(events)
    coming = asyncio.create_task(next_of(events))
    for _ in range(10):  # nothing in memory takes more turns of the loop to come to its wait
        await asyncio.sleep(0)
    await world.queue.report([report_of(job)])
    world.notifier.publish(notice(job.id))
    assert isinstance(await coming, Job)


async def test_lines_come_while_the_program_writes_them(world: World) -> None:
    job = await world.started()
    events = follow(world)(job.id)
    assert isinstance(await next_of(events), Job)
    for text in ("one", "two"):
        await write(world, job, f"{text}\n")
        assert (await next_line(events)).text == text
    await write(world, job, "farewell")
    await end(world, job)
    rest = await everything(events)
    assert (texts(rest), states(rest)) == (["farewell"], [JobState.SUCCEEDED])


async def test_it_goes_on_from_one_attempt_to_the_next(world: World) -> None:
    job = await world.started(retry=repeatable(2))
    await write(world, job, "one\n")
    events = follow(world)(job.id)
    assert (await next_line(events)).text == "one"
    await end(world, job, well=False)
    again = await second_attempt(world, job)
    await write(world, again, "two\n")
    assert (await next_line(events)).text == "two"
    await end(world, again)
    assert isinstance((await everything(events))[-1], LogEnd)


async def test_it_begins_with_a_job_that_still_waits_for_its_first_attempt(world: World) -> None:
    job = await world.queued()
    events = follow(world)(job.id)
    first = await next_of(events)
    assert isinstance(first, Job)
    assert first.state is JobState.QUEUED
    await world.begin()
    claimed = await second_attempt(world, job)
    await write(world, claimed, "one\n")
    assert (await next_line(events)).text == "one"


async def test_a_job_that_never_started_ends_without_a_line(world: World) -> None:
    job = await world.queued()
    await world.queue.change(job.id, lambda job: job.cancel(world.clock.now()), "alice")
    events = await everything(follow(world)(job.id))
    assert (texts(events), states(events)) == ([], [JobState.CANCELLED])


async def test_from_any_cursor_the_rest_comes_without_gap_or_double(world: World) -> None:
    job = await failed_twice(world)
    told = [event for event in await everything(follow(world)(job.id)) if isinstance(event, Line)]
    assert [line.text for line in told] == ["one", "two", "three", "four"]
    for index, line in enumerate(told):
        rest = texts(await everything(follow(world)(job.id, line.cursor)))
        assert rest == [line.text for line in told[index + 1 :]]


async def test_a_log_that_was_deleted_is_told_as_gone_and_the_next_follows(world: World) -> None:
    job = await world.started(retry=repeatable(2))
    await write(world, job, "one\n")
    ending = failed()
    lost = replace(ending, exit=replace(ending.exit, log_bytes=4))
    await world.queue.report([report_of(job, lost)])
    await world.log_upkeep.prune(job.id)
    again = await second_attempt(world, job)
    await write(world, again, "two\n")
    await end(world, again, well=False)
    events = await everything(follow(world)(job.id))
    told = [event for event in events if isinstance(event, LogLost | Line)]
    assert isinstance(told[0], LogLost)
    assert texts(events) == ["two"]
    assert isinstance(events[-1], LogEnd)


async def test_only_the_stream_that_was_asked_for_is_told(world: World) -> None:
    job = await world.started()
    await write(world, job, "out\n")
    await write(world, job, "err\n", Stream.STDERR)
    await end(world, job)
    assert texts(await everything(follow(world)(job.id, stream=Stream.STDERR))) == ["err"]


async def test_while_nothing_happens_it_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("application.follow_log.POLL_SECONDS", 0.01)
    running, waiting = await world.started(), await world.queued()
    for job in (waiting, running):
        events = follow(world)(job.id)
        assert isinstance(await next_of(events), Job)
        assert isinstance(await next_of(events), Quiet)


async def test_a_lost_notice_delays_the_end_and_does_not_lose_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.follow_log.POLL_SECONDS", 0.01)
    job = await world.started()
    events = follow(world)(job.id)
    await next_of(events)
    await world.queue.report([report_of(job)])
    assert isinstance((await everything(events))[-1], LogEnd)


async def test_a_cursor_from_elsewhere_is_refused(world: World) -> None:
    job = await world.queued()
    with pytest.raises(InvalidCursor):
        await next_of(follow(world)(job.id, "elsewhere"))


async def test_a_reader_who_leaves_is_forgotten(world: World) -> None:
    job = await world.queued()
    events = follow(world)(job.id)
    await next_of(events)
    assert len(world.records.inboxes) == 1
    await events.aclose()  # type: ignore[attr-defined]  # async generators have it
    assert world.records.inboxes == set()


async def test_an_attempt_whose_log_lies_elsewhere_is_told_once_and_the_next_one_followed(
    world: World,
) -> None:
    job = await world.started(retry=repeatable(2))
    world.logs.elsewhere.add("host-1")
    events = follow(world)(job.id)
    assert isinstance(await next_of(events), Job)
    lost = await next_of(events)
    assert isinstance(lost, LogLost)
    assert isinstance(lost.error, LogElsewhere)
    assert isinstance(await next_of(events), Quiet)  # nothing more is told of it while it runs
    await end(world, job, well=False)
    again = await second_attempt(world, job)
    await write(world, again, "three\n")
    await end(world, again)
    assert texts(await everything(events)) == ["three"]

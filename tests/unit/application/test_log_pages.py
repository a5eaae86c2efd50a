"""Followers share what they read, and take turns."""

import asyncio
import gc
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from application.log_pages import PAGE_LINES, TURNS, LogPages
from application.read_log import FoundLog, Position
from domain.errors import LogGone, LogNotFound
from domain.log import Line, LogRef, Page, Stream

REF = LogRef(job_id=uuid4(), fence=1)
START = Position(1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = Page(lines=(), cursor="0-0-0", size=0, more=True)


@dataclass
class Reading:
    """A log store whose reads end when they are let go on."""

    page: Page = NOTHING
    reads: list[str | None] = field(default_factory=list)
    at_once: int = 0
    most: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    gone: bool = False

    async def lines(self, _: LogRef, after: str | None, limit: int, *__: Any, **___: Any) -> Page:
        assert limit == PAGE_LINES
        self.reads.append(after)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.go.wait()
        self.at_once -= 1
        if self.gone:
            raise LogNotFound("There is none.")
        return self.page

    async def serves(self, _: str) -> bool:
        return True


def page_of(*, more: bool) -> Page:
    line = Line(number=1, at=NOW, stream=Stream.STDOUT, text="a", cursor="2-0-0")
    return Page(lines=(line,), cursor="2-0-0", size=2, more=more)


def found(ref: LogRef = REF) -> FoundLog:
    return FoundLog(ref, "host", complete=True, was_written=True)


async def asked(pages: LogPages, count: int, *places: Position) -> "list[asyncio.Task[Any]]":
    """So many followers at each place, all waiting."""
    tasks = [asyncio.create_task(pages(found(), place, None)) for place in places for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_all_who_read_on_from_one_place_get_one_page_by_one_read() -> None:
    store = Reading(page_of(more=True))
    pages = LogPages(store)  # type: ignore[arg-type]  # of the port only what is used
    tasks = await asked(pages, 100, START)
    store.go.set()
    told = await asyncio.gather(*tasks)
    assert store.reads == [None]
    assert {id(page) for page in told} == {id(told[0])}
    assert (told[0].lines[0].cursor, told[0].position) == ("1.2-0-0", Position(1, "2-0-0"))


async def test_who_comes_later_gets_the_same_page_while_somebody_holds_it_and_no_longer() -> None:
    store = Reading(page_of(more=True))
    store.go.set()
    pages = LogPages(store)  # type: ignore[arg-type]  # as above
    first = await pages(found(), START, None)
    assert await pages(found(), START, None) is first
    assert await pages(found(), START, Stream.STDERR) is not first
    assert len(store.reads) == 2
    del first
    gc.collect()
    await pages(found(), START, None)
    assert len(store.reads) == 3


async def test_the_end_of_a_log_is_read_again() -> None:
    store = Reading(page_of(more=False))
    store.go.set()
    pages = LogPages(store)  # type: ignore[arg-type]  # as above
    first = await pages(found(), START, None)
    assert await pages(found(), START, None) is not first


async def test_those_who_catch_up_take_turns_and_all_have_theirs() -> None:
    store = Reading(page_of(more=True))
    pages = LogPages(store)  # type: ignore[arg-type]  # as above
    places = [Position(1, f"{n:x}-0-0") for n in range(50)]
    tasks = await asked(pages, 2, *places)
    assert len(store.reads) == TURNS
    store.go.set()
    assert len(await asyncio.gather(*tasks)) == 100
    assert store.reads == [place.cursor for place in places]  # in the order in which they came
    assert store.most == TURNS


async def test_a_reader_that_goes_leaves_the_read_to_the_others() -> None:
    store = Reading(page_of(more=True))
    pages = LogPages(store)  # type: ignore[arg-type]  # as above
    first, second = await asked(pages, 2, START)
    first.cancel()
    store.go.set()
    assert (await second).size == 2
    assert store.reads == [None]


async def test_a_log_that_has_gone_is_told_to_all_and_looked_for_again() -> None:
    store = Reading(gone=True)
    pages = LogPages(store)  # type: ignore[arg-type]  # as above
    tasks = await asked(pages, 3, START)
    store.go.set()
    for told in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(told, LogGone)
    with pytest.raises(LogGone):
        await pages(found(), START, None)
    assert len(store.reads) == 2

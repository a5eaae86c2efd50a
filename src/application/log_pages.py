"""Pages of live logs, read once for all who follow them."""

import asyncio
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from application.ports.log_store import LogStore
from application.read_log import FoundLog, Position, ReadLogLines
from domain.log import Line, LogRef, Stream

PAGE_LINES: Final = 500

TURNS: Final = 2
"""Pages that are read at once. Those who catch up take turns, or 500 of them would leave no time to
anything else of this process: they had all database connections waiting for it.
"""

_Place = tuple[LogRef, str | None, Stream | None, bool]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LogPage:
    """Lines in order, and the point to go on from. `size` and `more` are those of domain.log.Page.

    Whoever reads on from the same place gets the same object, as long as anybody holds it.
    """

    lines: tuple[Line, ...]
    position: Position
    size: int
    more: bool


class LogPages:
    """However many followers read on from one place, one read follows, and one page is in memory."""

    def __init__(self, logs: LogStore) -> None:
        self._read = ReadLogLines(logs)
        self._turns = asyncio.Semaphore(TURNS)
        self._reading: dict[_Place, asyncio.Task[LogPage]] = {}
        self._held: WeakValueDictionary[_Place, LogPage] = WeakValueDictionary()

    async def __call__(self, log: FoundLog, after: Position, stream: Stream | None) -> LogPage:
        """Raises InvalidCursor, LogGone, LogElsewhere."""
        place = (log.ref, after.after(log.ref.fence), stream, log.complete)
        if (page := self._held.get(place)) is not None:
            return page
        reading = self._reading.get(place)
        if reading is None:
            reading = self._reading[place] = asyncio.create_task(self._page(log, after, stream))
            reading.add_done_callback(lambda done: self._keep(place, done))
        return await asyncio.shield(reading)

    async def _page(self, log: FoundLog, after: Position, stream: Stream | None) -> LogPage:
        async with self._turns:
            page = await self._read(log, after, PAGE_LINES, stream)
        return LogPage(page.lines, Position.parse(page.cursor), page.size, page.more)

    def _keep(self, place: _Place, reading: asyncio.Task[LogPage]) -> None:
        """What is written never changes, so a page that ended before the log's end stays what it is."""
        del self._reading[place]
        # Nobody may be left who waits for it: its error is looked at here, or asyncio would tell of it.
        if not reading.cancelled() and reading.exception() is None and reading.result().more:
            self._held[place] = reading.result()

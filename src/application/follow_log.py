"""The log of a job while it grows."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final
from uuid import UUID

from application.job_reads import JobRead, JobReads
from application.log_pages import LogPage, LogPages
from application.ports.log_store import LogStore
from application.ports.notifier import Notifier, Subscription, changes_of
from application.read_log import FoundLog, Position, found_log
from domain.errors import LogElsewhere, LogGone
from domain.job import Job
from domain.log import Stream

POLL_SECONDS: Final = 2.0
"""How long a lost notification may delay the news of a change."""


class News(Enum):
    """What a reader of a live log waits for."""

    CHANGED = auto()
    GREW = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The job is final, and every line of its attempts has been told."""

    job: Job


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing happened for a while: the edge may tell its reader that the connection lives."""


@dataclass(frozen=True, slots=True)
class LogLost:
    """The rest of one attempt's log cannot be had here; the next attempt's follows."""

    error: LogGone | LogElsewhere


LogEvent = LogPage | Job | LogEnd | LogLost | Quiet


@dataclass(frozen=True, slots=True)
class FollowLog:
    """Each line once and in order, each change of the job, and the end.

    Goes on to the next attempt when one has ended. A reader that is slow pulls less often; nothing
    is kept for it.
    """

    jobs: JobReads
    pages: LogPages
    logs: LogStore
    notifier: Notifier

    async def __call__(
        self, job_id: UUID, after: str | None = None, stream: Stream | None = None
    ) -> AsyncIterator[LogEvent]:
        """`after` is the cursor of the last line that the reader has. Raises JobNotFound, InvalidCursor."""
        position, told = Position.parse(after), None
        async with self.notifier.subscribe(changes_of(job_id)) as notices:
            while True:
                # The job is read before its log: when it is final here, its logs are complete.
                read = await self.jobs.fresh(job_id)
                job = read.job
                if job.state is not told:
                    told = job.state
                    yield job
                log = _log_at(read, position)
                if log is not None:
                    try:
                        async for event in self._until_changed(job, log, position, stream, notices):
                            position = event.position if isinstance(event, LogPage) else position
                            yield event
                    except (LogGone, LogElsewhere) as error:
                        yield LogLost(error)
                        position = Position(log.ref.fence + 1)
                        continue
                    if log.complete:
                        position = Position(log.ref.fence + 1)
                elif job.state.is_final:
                    yield LogEnd(job)
                    return
                else:
                    while await _news(notices) is News.NONE:
                        yield Quiet()
                        if await self._is_another(job):
                            break

    async def _is_another(self, job: Job) -> bool:
        """Whether it is worth reading again although nobody said so: a notification may have been lost."""
        now = (await self.jobs.latest(job.id)).job
        return (now.state, now.fence) != (job.state, job.fence)

    async def _until_changed(
        self, job: Job, log: FoundLog, position: Position, stream: Stream | None, notices: Subscription
    ) -> AsyncIterator[LogPage | Quiet]:
        """The lines that are there and those that come, until the job is worth reading again."""
        while True:
            page = await self.pages(log, position, stream)
            if page.lines:
                yield page
            position = page.position
            if page.more:
                continue
            if log.complete:
                return
            news = News.NONE
            while news is News.NONE:
                news = await _news(notices, self.logs.grown(log.ref, page.size, POLL_SECONDS))
                if news is News.NONE:
                    yield Quiet()
                    if await self._is_another(job):
                        return
            if news is News.CHANGED:
                return


def _log_at(read: JobRead, position: Position) -> FoundLog | None:
    """The first log that the reader has not finished."""
    if read.job.fence < position.fence:
        return None
    return next((found_log(a) for a in read.attempts if a.fence >= position.fence), None)


async def _news(notices: Subscription, growth: Coroutine[None, None, bool] | None = None) -> News:
    """What comes first: a change of the job, growth of its log, or `POLL_SECONDS` without either."""
    changed = asyncio.create_task(_changed(notices))
    grew = None if growth is None else asyncio.create_task(growth)
    waits = [changed] if grew is None else [changed, grew]
    try:
        await asyncio.wait(waits, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if changed.done():
            return News.CHANGED
        return News.GREW if grew is not None and grew.done() and grew.result() else News.NONE
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _changed(notices: Subscription) -> None:
    while not await notices.wait(POLL_SECONDS):
        pass

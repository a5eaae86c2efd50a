"""Reading an attempt's log: as bytes, and as lines."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final, Self
from uuid import UUID

from application.ports.job_history import JobHistory
from application.ports.log_store import LogStore
from domain.attempt import Attempt
from domain.errors import AttemptNotFound, LogElsewhere, LogGone, LogNotFound
from domain.log import Extent, Line, LogRef, Page, Stream
from domain.log_reading import unknown_cursor
from domain.shown_log import ShownLog

MAX_FENCE_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Position:
    """A point in all logs of a job: `fence` names the attempt, `cursor` the point in its log.

    Readers get it as `FENCE.CURSOR`, so that a stream which went on to a second attempt resumes there.
    """

    fence: int = 0
    cursor: str | None = None

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Raises InvalidCursor. None is the beginning."""
        if text is None:
            return cls()
        fence, dot, cursor = text.partition(".")
        plain = fence.isascii() and fence.isdecimal() and len(fence) <= MAX_FENCE_DIGITS
        if not (dot and plain):
            raise unknown_cursor()
        return cls(int(fence), cursor or None)

    def __str__(self) -> str:
        return f"{self.fence}.{self.cursor or ''}"

    def after(self, fence: int) -> str | None:
        """The cursor to go on from in the log of `fence`: its beginning, if this points elsewhere."""
        return self.cursor if fence == self.fence else None


def placed(line: Line, fence: int) -> Line:
    """The line with a cursor that names its attempt too. Not by `replace`, which takes twice as long."""
    return Line(
        number=line.number,
        at=line.at,
        stream=line.stream,
        text=line.text,
        cursor=str(Position(fence, line.cursor)),
        partial=line.partial,
    )


@dataclass(frozen=True, slots=True)
class FoundLog:
    """`complete`: nobody writes it any more. `was_written`: a log that is not there has been deleted."""

    ref: LogRef
    host: str
    complete: bool
    was_written: bool = False

    async def missing(self, logs: LogStore) -> None:
        """What to do where there is none. Raises LogElsewhere or LogGone unless nothing was written yet."""
        if not await logs.serves(self.host) and (self.was_written or not self.complete):
            raise LogElsewhere(
                f"This log was written on {self.host}, whose log directory this server does not see:"
                " let both use one `logs.directory` on a shared disk, or ask a server on that machine."
            )
        if self.was_written:
            raise LogGone(
                "This log was deleted: `retention.logs` and `retention.logs_size` say what is kept."
            )


@dataclass(frozen=True, slots=True)
class FindLog:
    """Which log a reader means."""

    history: JobHistory

    async def __call__(self, job_id: UUID, attempt: int | None = None, fence: int | None = None) -> FoundLog:
        """By number or by fence; the latest attempt where neither is given.

        Raises JobNotFound, AttemptNotFound.
        """
        attempts = await self.history.attempts(job_id)
        named = [a for a in attempts if attempt in (None, a.number) and fence in (None, a.fence)]
        if not named:
            wanted = "no attempt" if attempt is None else f"no attempt {attempt}"
            raise AttemptNotFound(f"Job {job_id} has {wanted} yet.")
        return found_log(named[-1])


def found_log(attempt: Attempt) -> FoundLog:
    """The log of this attempt."""
    ref = LogRef(job_id=attempt.job_id, fence=attempt.fence)
    written = attempt.ending is not None and attempt.ending.exit.log_bytes > 0
    return FoundLog(ref, attempt.host, complete=attempt.finished_at is not None, was_written=written)


@dataclass(frozen=True, slots=True)
class ReadLogBytes:
    """The bytes as written. What lies below a size once read never changes, but may be cut."""

    logs: LogStore

    async def extent(self, log: FoundLog, stream: Stream | None = None) -> Extent:
        """Nothing for an attempt that has not written. Raises LogGone, LogElsewhere."""
        try:
            return await self.logs.extent(log.ref, stream)
        except LogNotFound:
            await log.missing(self.logs)
            return Extent(0, 0, 0)

    async def tail(self, log: FoundLog, count: int, stream: Stream | None = None) -> int:
        """The offset at which the last `count` lines begin."""
        try:
            return (await self.logs.tail(log.ref, count, stream))[1]
        except LogNotFound:
            return 0

    async def __call__(
        self, log: FoundLog, part: ShownLog, span: range, stream: Stream | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes of the shown log in this span, in bounded pieces. Raises LogGone, LogElsewhere."""
        for piece in part.pieces(span):
            if isinstance(piece, bytes):
                yield piece
                continue
            try:
                async for data in self.logs.read(log.ref, piece.start, piece.stop, stream):
                    yield data
            except LogNotFound:
                await log.missing(self.logs)
                raise


@dataclass(frozen=True, slots=True)
class ReadLogLines:
    """A page of lines; a page without lines where the attempt has not written."""

    logs: LogStore

    async def __call__(
        self,
        log: FoundLog,
        after: Position,
        limit: int,
        stream: Stream | None = None,
        contains: str | None = None,
    ) -> Page:
        """Raises InvalidCursor, LogGone, LogElsewhere."""
        fence, cursor = log.ref.fence, after.after(log.ref.fence)
        try:
            page = await self.logs.lines(
                log.ref, cursor, limit, stream, final=log.complete, contains=contains
            )
        except LogNotFound:
            await log.missing(self.logs)
            return Page(lines=(), cursor=str(Position(fence, cursor)), size=0)
        return self._placed(page, fence)

    async def tail(self, log: FoundLog, count: int, limit: int, stream: Stream | None = None) -> Page:
        """The first page of the last `count` lines. Raises LogGone, LogElsewhere."""
        try:
            cursor, _ = await self.logs.tail(log.ref, count, stream)
        except LogNotFound:
            cursor = None
        return await self(log, Position(log.ref.fence, cursor), limit, stream)

    def _placed(self, page: Page, fence: int) -> Page:
        lines = tuple(placed(line, fence) for line in page.lines)
        return replace(page, lines=lines, cursor=str(Position(fence, page.cursor)))

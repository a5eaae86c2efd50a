"""The output of attempts: written by supervisors, byte for byte, and read while it grows."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from domain.log import Extent, LogRef, Page, Stream


class LogStore(Protocol):
    """Reads raise LogNotFound where the attempt has no log."""

    def target(self, ref: LogRef) -> Path:
        """The file that the supervisor writes, its directory made. A sidecar index lies beside it."""

    async def announce(self, host: str) -> None:
        """Workers of this host are about to write logs here."""

    async def serves(self, host: str) -> bool:
        """Whether the logs that workers of this host write are here, as far as there are any."""

    async def size(self, ref: LogRef, stream: Stream | None = None) -> int:
        """Bytes written so far (of one stream). What is below it never changes."""

    def read(self, ref: LogRef, start: int, stop: int, stream: Stream | None = None) -> AsyncIterator[bytes]:
        """The bytes [start, stop) as the program wrote them, in bounded pieces. Ends early at a cut."""

    async def extent(self, ref: LogRef, stream: Stream | None = None) -> Extent:
        """Which of the bytes that were written are kept; `size` is the same."""

    async def lines(
        self,
        ref: LogRef,
        after: str | None,
        limit: int,
        stream: Stream | None = None,
        *,
        final: bool,
        contains: str | None = None,
    ) -> Page:
        """At most `limit` whole lines after the cursor. `final`: nobody writes any more, so a last
        line without a newline is given too. `contains`: only lines with this text, in so far as a
        page had the time to look. Where bytes were cut stands a line that says how many.
        Raises InvalidCursor.
        """

    async def tail(self, ref: LogRef, count: int, stream: Stream | None = None) -> tuple[str, int]:
        """The cursor and the byte offset before the last `count` lines, found from the end."""

    async def grown(self, ref: LogRef, past: int, seconds: float) -> bool:
        """Waits until the log is larger than `past` bytes; False after `seconds`. Also for a log
        that does not exist yet.
        """

    async def prune(self, job_id: UUID) -> None:
        """Deletes the logs of all attempts of the job; nothing if there is none."""

    async def prune_idle(self, since: datetime, limit: int) -> Sequence[UUID]:
        """Deletes the logs of at most `limit` jobs that were submitted before `since` and to which
        nothing was written since then, the oldest first; returns these jobs.
        """

    async def prune_beyond(self, total_bytes: int, limit: int) -> Sequence[UUID]:
        """Deletes the logs of at most `limit` jobs until all logs together take at most `total_bytes`:
        first those that were written longest ago, never one that is being written. Returns these jobs.
        """

    async def compress_idle(self, since: datetime, limit: int) -> int:
        """Stores more tightly at most `limit` logs of jobs that were submitted before `since`, to which
        nothing was written since then and which nobody writes any more; returns how many these were.
        What is read of them stays the same, and so do offsets and cursors. Takes its time; cancelled or
        killed at any point it loses nothing.
        """

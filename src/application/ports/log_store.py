"""The output of attempts: written by supervisors, byte for byte, and read while it grows."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from domain.log import Extent, LogRef, Page, Stream


class LogStore(Protocol):
    """Reads raise LogNotFound where the attempt has no log."""

    def target(self, ref: LogRef) -> Path:
        """The file that the supervisor makes, with its directories. A sidecar index lies beside it."""

    async def announce(self, host: str) -> None:
        """Workers of this host are about to write logs here."""

    async def serves(self, host: str) -> bool:
        """Whether the logs that workers of this host write are here, as far as there are any."""

    def read(self, ref: LogRef, start: int, stop: int, stream: Stream | None = None) -> AsyncIterator[bytes]:
        """The bytes [start, stop) as the program wrote them, in pieces of at most 1 MiB. Ends early at a
        cut.
        """

    async def extent(self, ref: LogRef, stream: Stream | None = None) -> Extent:
        """How many bytes were written so far (of one stream), and which of them are kept. What lies below
        its `size` never changes.
        """

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

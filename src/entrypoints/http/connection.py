"""One client's connection: uvicorn's, with more manners at its beginning and at its end."""

import asyncio
from typing import ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 10.0
"""200 connections that send nothing were held for ever."""

LINGER_SECONDS: Final = 3.0
"""How long a server that stops answers on connections that rest: a request may be under way on each. With 1 s
clients that asked every 0.4 s were cut off on a machine with eight times more to do than cores.
"""


class Connection(H11Protocol):
    """Is closed when a request head is not there `head_seconds` after it was begun; at a stop, after the
    next answer.
    """

    head_seconds: ClassVar[float] = HEAD_SECONDS
    head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own type
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_watching()

    def shutdown(self) -> None:
        """The next answer, or that under way, closes it (server.py); without one a while does."""
        self.loop.call_later(LINGER_SECONDS, self._close_resting)

    def _close_resting(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def _watch_head(self) -> None:
        """A timer runs from the first byte of a head, or the connection, to its last byte."""
        waiting = self.conn.their_state is h11.IDLE
        if not waiting:
            self._stop_watching()
        elif self.head_timer is None:
            self.head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_watching(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None


def connection_of(head_seconds: float) -> type[Connection]:
    """For uvicorn, which makes the connections itself, so what differs is a class of its own."""
    return type("Connection", (Connection,), {"head_seconds": head_seconds})

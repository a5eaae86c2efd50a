"""uvicorn inside the running event loop. Signals are the caller's business."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import uvicorn
from litestar.types import ASGIApp, Receive, Scope, Send

from entrypoints.http.closing import EXTENSION
from entrypoints.http.connection import HEAD_SECONDS, Connection, connection_of
from entrypoints.http.doors import MAX_HEAD_BYTES

KEEP_ALIVE_SECONDS: Final = 75
STOP_SECONDS: Final = 10
TICK_SECONDS: Final = 1.0
UNSENT_BYTES: Final = 512 * 1024
"""What the kernel holds of an answer that its reader does not take; without it, up to 4 MB of each: 500
readers of one log that stopped reading kept this process busy for minutes with filling that.
"""

_NOTSENT_LOWAT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux, macOS
_LAST_ANSWER: Final = (b"connection", b"close")


class HttpServer:
    """Serves one application on one address, from `start` until `stop`."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, head_seconds: float = HEAD_SECONDS) -> None:
        self._app, self._host, self._port = app, host, port
        self._head_seconds = head_seconds
        self._closing = asyncio.Event()
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """The port, which the system has chosen if 0 was asked for. Raises OSError, for instance
        where the address is taken.
        """
        listener = await _bound(self._host, self._port)
        config = uvicorn.Config(
            self._closing_told,
            interface="asgi3",
            http=connection_of(self._head_seconds),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([listener]), name="http")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait([ready, self._serving], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._serving.done():
            await self._serving
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """Takes no new connection, ends live streams, and lets what is being answered end, for at most
        `STOP_SECONDS`. A request that comes meanwhile is answered, with `Connection: close`, so that a
        client never wonders whether it arrived. May be called again.
        """
        self._closing.set()
        if self._server is not None and self._serving is not None:
            self._server.leave()
            await asyncio.wait([self._serving])

    async def wait(self) -> None:
        """Until it was stopped."""
        if self._serving is not None:
            await asyncio.wait([self._serving])

    async def _closing_told(self, scope: Scope, receive: Receive, send: Send) -> None:
        told: dict[str, Any] = {**scope, "extensions": {EXTENSION: self._closing}}
        await self._app(cast("Scope", told), receive, send)


async def serve(app: ASGIApp, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serves until it is cancelled; `ready` hears the port once connections are taken."""
    server = HttpServer(app, host, port)
    ready(await server.start())
    try:
        await server.wait()
    finally:
        await server.stop()


async def _bound(host: str, port: int) -> socket.socket:
    """Bound here, because uvicorn ends the process where the address is taken."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, address = found[0]
    # The protocol is named because asyncio sends at once (TCP_NODELAY) only where it is: without it a
    # client that acknowledges late got each small answer 40 ms late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if _NOTSENT_LOWAT is not None:  # connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_BYTES)
        listener.bind(address)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        """Ticks as often as the `Date` of answers changes. uvicorn's own looks ten times a second whether it
        is to end: a fifth of the processor time of an idle server.
        """
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._leaving.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # In place: it is the list of the answers that are under way too.
        self.server_state.default_headers.append(_LAST_ANSWER)
        for listener in sockets or ():
            await self._let_in(listener)
        await super().shutdown(sockets)  # closes the listeners before it waits for anything

    async def _let_in(self, listener: socket.socket) -> None:
        """Those who are connected by the kernel's word alone: it would reset them with the listener."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        for _ in range(2):  # asyncio may have accepted one just now: it makes its transport, then tells us
            await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                await loop.connect_accepted_socket(self._connection, connection)

    def _connection(self) -> Connection:
        kind = cast("type[Connection]", self.config.http_protocol_class)
        return kind(self.config, self.server_state, self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

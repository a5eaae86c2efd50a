"""A socket before PostgreSQL that obeys a test: it stalls, delays, cuts, and loses single answers."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

NAME = ".s.PGSQL.5432"
UNASKED = (b"R", b"N", b"A", b"S", b"K", b"E")
"""Authentication, notices, notifications: the client waits for no end of an answer to see them."""

IDLE = b"Z" + (5).to_bytes(4) + b"I"
"""Ready for the next question, and in no transaction."""

Hook = Callable[[], Awaitable[bool]]
"""Asked while an answer stands still. True: this is the one; the hook is not asked again."""


@dataclass(eq=False)
class Line:
    """One client's connection, through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter

    def cut(self) -> None:
        for end in (self.client, self.server):
            end.transport.abort()


@dataclass
class Proxy:
    """`lose_answer` is asked when no transaction is open any more, so that what was asked is committed, and
    the client does not know it yet. What it says yes to is lost, and the connection with it.
    `latency` is in seconds a round trip.
    """

    server_url: str
    directory: Path
    latency: float = 0.0
    lose_answer: Hook | None = None
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _lines: set[Line] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        given = {**conninfo_to_dict(self.server_url), "host": str(self.directory), "port": "5432"}
        return make_conninfo("", **given)

    def swallow(self) -> None:
        """From now on nothing passes, and nobody is told: connections stay open."""
        self._flows.clear()

    def pass_on(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """Every connection ends now."""
        for line in tuple(self._lines):
            line.cut()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # Cancelled by `end` alone; the streams of the standard library would tell of it as an error.
        with contextlib.suppress(asyncio.CancelledError):
            await self._join(reader, writer)
        self._tasks.discard(task)
        writer.transport.abort()

    async def end(self) -> None:
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            server_reader, server_writer = await self._connected()
            line = Line(writer, server_writer)
            self._lines.add(line)
            pumps = [
                asyncio.create_task(self._ask(reader, server_writer)),
                asyncio.create_task(self._answer(server_reader, line)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                line.cut()
                self._lines.discard(line)
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        given = conninfo_to_dict(self.server_url)
        host, port = str(given.get("host", "localhost")), given.get("port", 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port or 5432))

    async def _ask(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        server.write(await _first(reader))
        while True:
            frame = await _frame(reader)
            if frame[:1] in (b"Q", b"S") and self.latency:
                await asyncio.sleep(self.latency)
            await self._flows.wait()
            server.write(frame)

    async def _answer(self, reader: asyncio.StreamReader, line: Line) -> None:
        answer = b""
        while True:
            frame = await _frame(reader)
            answer += frame
            if frame[:1] != b"Z" and frame[:1] not in UNASKED:
                continue
            if frame == IDLE and await self._is_lost():
                return
            await self._flows.wait()
            line.client.write(answer)
            answer = b""

    async def _is_lost(self) -> bool:
        hook = self.lose_answer
        if hook is None or not await hook() or self.lose_answer is not hook:
            return False
        self.lose_answer = None
        return True


@asynccontextmanager
async def proxy_before(url: str) -> AsyncIterator[Proxy]:
    # A short path: a socket's name has room for 107 bytes.
    with tempfile.TemporaryDirectory(prefix="etlpx-", dir="/tmp") as name:
        directory = Path(name)
        proxy = Proxy(url, directory)
        proxy.pass_on()
        server = await asyncio.start_unix_server(proxy.serve, directory / NAME)
        try:
            yield proxy
        finally:
            server.close()
            await proxy.end()


async def _first(reader: asyncio.StreamReader) -> bytes:
    """The startup message alone has no type; over a Unix socket nobody asks for encryption before it."""
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length) - 4)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(int.from_bytes(head[1:]) - 4)

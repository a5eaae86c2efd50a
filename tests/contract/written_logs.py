"""Logs behind the contract suites, each with a hand that writes them."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from adapters.filesystem.log_store import FilesystemLogStore
from adapters.filesystem.log_upkeep import FilesystemLogUpkeep
from adapters.memory.log_store import MemoryLogStore
from adapters.memory.log_upkeep import MemoryLogUpkeep
from application.ports.log_store import LogStore
from application.ports.log_upkeep import LogUpkeep
from domain.log import Line, LogRef, Stream
from tests.builders import CHANCE
from tests.log_writer import LogWriter

OUT, ERR, SYSTEM = Stream.STDOUT, Stream.STDERR, Stream.SYSTEM
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Write = Callable[[LogRef, Stream, bytes, datetime], Awaitable[None]]


def a_ref(job_id: UUID | None = None, fence: int = 1) -> LogRef:
    return LogRef(job_id=job_id or CHANCE.new_id(), fence=fence)


@dataclass(slots=True)
class Files:
    """The supervisor's side of the files."""

    store: FilesystemLogStore
    writers: dict[LogRef, LogWriter] = field(default_factory=dict)

    async def write(self, ref: LogRef, stream: Stream, data: bytes, at: datetime) -> None:
        if ref not in self.writers:
            self.writers[ref] = LogWriter(self.store.target(ref))
        self.writers[ref].write(stream, data, at)
        for file in self.store.target(ref).parent.iterdir():
            os.utime(file, (at.timestamp(), at.timestamp()))  # as if it were then


@dataclass(slots=True)
class Logs:
    """A store, and a hand that writes its logs: each chunk a second after the one before."""

    store: LogStore
    upkeep: LogUpkeep
    chunk: Write
    ref: LogRef = field(default_factory=a_ref)
    seconds: int = 0

    async def write(self, *chunks: tuple[Stream, bytes], ref: LogRef | None = None) -> None:
        for stream, data in chunks:
            await self.chunk(ref or self.ref, stream, data, NOON + timedelta(seconds=self.seconds))
            self.seconds += 1

    async def bytes(self, start: int = 0, stop: int = 10**12, stream: Stream | None = None) -> bytes:
        return b"".join([piece async for piece in self.store.read(self.ref, start, stop, stream)])

    async def lines(
        self, after: str | None = None, stream: Stream | None = None, *, limit: int = 100, final: bool = False
    ) -> list[Line]:
        """All pages from the cursor on."""
        lines: list[Line] = []
        while page := (await self.store.lines(self.ref, after, limit, stream, final=final)).lines:
            lines += page
            after = page[-1].cursor
        return lines

    async def texts(
        self, after: str | None = None, stream: Stream | None = None, *, limit: int = 100, final: bool = False
    ) -> list[str]:
        return [line.text for line in await self.lines(after, stream, limit=limit, final=final)]


@contextmanager
def on_files(directory: Path) -> Iterator[Logs]:
    files = Files(FilesystemLogStore(directory))
    try:
        yield Logs(files.store, FilesystemLogUpkeep(directory), files.write)
    finally:
        for writer in files.writers.values():
            writer.close()


def in_memory() -> Logs:
    memory = MemoryLogStore()
    return Logs(memory, MemoryLogUpkeep(memory), memory.write)

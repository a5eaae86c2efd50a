"""Logs as files, written by supervisors on this machine or on a shared disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from adapters.filesystem.log_notices import LogNotices
from adapters.filesystem.log_paths import LogPaths
from adapters.filesystem.stored_log import StoredLog, size_on_disk
from domain.log import Extent, LogRef, Page, Stream
from domain.log_reading import number_of

PIECE_BYTES: Final = 1024 * 1024
_READERS: Final = 8

_T = TypeVar("_T")


class FilesystemLogStore:
    """LogStore. Reads run in threads of its own: asyncio's also look up names for database connections,
    and a hung log disk must not hold those up.
    """

    def __init__(self, directory: Path) -> None:
        self._paths = LogPaths(directory)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="log-read")
        self._notices = LogNotices(self._size_on_disk, self._blocking)

    def target(self, ref: LogRef) -> Path:
        return self._paths.log(ref)

    async def announce(self, host: str) -> None:
        await self._blocking(lambda: self._paths.announce(host))

    async def serves(self, host: str) -> bool:
        return await self._blocking(lambda: self._paths.host(host).exists())

    async def read(
        self, ref: LogRef, start: int, stop: int, stream: Stream | None = None
    ) -> AsyncIterator[bytes]:
        number = number_of(stream)
        log = await self._blocking(lambda: self._open(ref))
        while start < stop:
            piece = partial(log.piece, start, min(stop, start + PIECE_BYTES), number)
            data = await self._blocking(piece)
            if not data:
                return
            yield data
            start += len(data)

    async def extent(self, ref: LogRef, stream: Stream | None = None) -> Extent:
        return await self._blocking(lambda: self._open(ref).extent(number_of(stream)))

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
        number = number_of(stream)
        return await self._blocking(
            lambda: self._open(ref).page(after, limit, number, final=final, contains=contains)
        )

    async def tail(self, ref: LogRef, count: int, stream: Stream | None = None) -> tuple[str, int]:
        cursor, offset = await self._blocking(lambda: self._open(ref).tail(count, number_of(stream)))
        return str(cursor), offset

    async def grown(self, ref: LogRef, past: int, seconds: float) -> bool:
        return await self._notices.wait(self._paths.log(ref), past, seconds)

    async def _size_on_disk(self, path: Path) -> int:
        return await self._blocking(lambda: size_on_disk(path))

    def _open(self, ref: LogRef) -> StoredLog:
        return StoredLog(self._paths.log(ref))

    async def _blocking(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

"""Logs as files, written by supervisors on this machine or on a shared disk."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from adapters.filesystem.indexed_log import IndexedLog
from adapters.filesystem.log_files import LogPaths
from adapters.filesystem.log_growth import LogGrowth, size_on_disk
from domain.log import LogRef, Page, Stream
from domain.log_index import STREAMS

PIECE_BYTES: Final = 256 * 1024
_READERS: Final = 8

_T = TypeVar("_T")


class FilesystemLogStore:
    """LogStore. Reads run in threads of its own: asyncio's also look up names for database connections,
    and a hung log disk must not hold those up.
    """

    def __init__(self, directory: Path) -> None:
        self._paths = LogPaths(directory)
        self._growth = LogGrowth()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="log-read")

    def target(self, ref: LogRef) -> Path:
        self._paths.make_directory(ref)
        return self._paths.log(ref)

    async def size(self, ref: LogRef, stream: Stream | None = None) -> int:
        return await self._blocking(lambda: self._open(ref).size_of(_number(stream)))

    async def read(
        self, ref: LogRef, start: int, stop: int, stream: Stream | None = None
    ) -> AsyncIterator[bytes]:
        number = _number(stream)
        log = await self._blocking(lambda: self._open(ref))
        while start < stop:
            piece = partial(log.piece, start, min(stop, start + PIECE_BYTES), number)
            data = await self._blocking(piece)
            if not data:
                return
            yield data
            start += len(data)

    async def lines(
        self, ref: LogRef, after: str | None, limit: int, stream: Stream | None = None, *, final: bool
    ) -> Page:
        number = _number(stream)
        return await self._blocking(lambda: self._open(ref).page(after, limit, number, final=final))

    async def tail(self, ref: LogRef, count: int, stream: Stream | None = None) -> tuple[str, int]:
        cursor, offset = await self._blocking(lambda: self._open(ref).tail(count, _number(stream)))
        return str(cursor), offset

    async def grown(self, ref: LogRef, past: int, seconds: float) -> bool:
        path = self._paths.log(ref)
        if await self._blocking(lambda: size_on_disk(path)) > past:
            return True
        return await self._growth.wait(path, past, seconds)

    async def prune(self, job_id: UUID) -> None:
        await self._blocking(lambda: self._paths.remove(job_id))

    async def prune_idle(self, since: datetime, limit: int) -> Sequence[UUID]:
        return await self._blocking(lambda: self._prune_idle(since, limit))

    def _prune_idle(self, since: datetime, limit: int) -> Sequence[UUID]:
        idle = list(islice(self._paths.idle(since), limit))
        for job_id in idle:
            self._paths.remove(job_id)
        return idle

    def _open(self, ref: LogRef) -> IndexedLog:
        return IndexedLog(self._paths.log(ref))

    async def _blocking(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)


def _number(stream: Stream | None) -> int | None:
    return None if stream is None else STREAMS.index(stream)

"""Logs as files, written by supervisors on this machine or on a shared disk."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from adapters.filesystem.log_compression import PlainLogs, compressing, is_written
from adapters.filesystem.log_files import LogPaths
from adapters.filesystem.log_notices import LogNotices
from adapters.filesystem.log_usage import LogUsage
from adapters.filesystem.stored_log import StoredLog, size_on_disk
from domain.log import Extent, LogRef, Page, Stream
from domain.log_reading import number_of

PIECE_BYTES: Final = 1024 * 1024
_READERS: Final = 8
_RESTS: Final = 3
"""How much longer than it works upkeep rests."""

_T = TypeVar("_T")


class FilesystemLogStore:
    """LogStore. Reads run in threads of its own: asyncio's also look up names for database connections,
    and a hung log disk must not hold those up.
    """

    def __init__(self, directory: Path) -> None:
        self._paths = LogPaths(directory)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="log-read")
        self._plain = PlainLogs(self._paths)
        self._notices = LogNotices(self._size_on_disk, self._blocking)

    def target(self, ref: LogRef) -> Path:
        self._paths.make_directory(ref)
        return self._paths.log(ref)

    async def announce(self, host: str) -> None:
        await self._blocking(lambda: self._paths.announce(host))

    async def serves(self, host: str) -> bool:
        return await self._blocking(lambda: self._paths.host(host).exists())

    async def size(self, ref: LogRef, stream: Stream | None = None) -> int:
        return await self._blocking(lambda: self._open(ref).size_of(number_of(stream)))

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

    async def prune(self, job_id: UUID) -> None:
        await self._blocking(lambda: self._paths.remove(job_id))

    async def prune_idle(self, since: datetime, limit: int) -> Sequence[UUID]:
        return await self._blocking(lambda: self._prune_idle(since, limit))

    def _prune_idle(self, since: datetime, limit: int) -> Sequence[UUID]:
        idle = list(islice(self._paths.idle(since), limit))
        for job_id in idle:
            self._paths.remove(job_id)
        return idle

    async def prune_beyond(self, total_bytes: int, limit: int) -> Sequence[UUID]:
        usage = LogUsage(self._paths, limit)
        await self._slowly(usage.measuring())
        pruned: list[UUID] = []
        for oldest in usage.oldest:
            if usage.disk_bytes <= total_bytes:
                break
            if not await self._blocking(partial(is_written, oldest.job)):
                pruned.append(UUID(oldest.job.name))
                await self.prune(pruned[-1])
                usage.disk_bytes -= oldest.disk_bytes
        return pruned

    async def compress_idle(self, since: datetime, limit: int) -> int:
        done, failure = 0, None
        for head in await self._blocking(lambda: list(islice(self._plain.idle(since), limit))):
            try:
                done += await self._slowly(compressing(head))
            except OSError as error:
                failure = error  # the other logs may fare better
        if failure is not None:
            raise failure
        return done

    async def _slowly(self, steps: Iterator[int]) -> bool:
        """Whether there was anything to do. Takes a part of one core, and a stop waits for one step."""
        worked = False
        while True:
            begun = time.monotonic()
            if await self._blocking(lambda: next(steps, None)) is None:
                return worked
            worked = True
            await asyncio.sleep((time.monotonic() - begun) * _RESTS)

    def _open(self, ref: LogRef) -> StoredLog:
        return StoredLog(self._paths.log(ref))

    async def _blocking(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

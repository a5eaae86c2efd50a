"""Upkeep of logs as files: retention by age and by size, and compression, at a pace that others bear."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from adapters.filesystem.log_compression import PlainLogs, compressing, is_written
from adapters.filesystem.log_paths import LogPaths
from adapters.filesystem.log_usage import LogUsage

_THREADS: Final = 3
"""The leader's retention, this machine's own, and compression may be at work at once."""
_RESTS: Final = 3
"""How much longer than it works upkeep rests."""

_T = TypeVar("_T")


class FilesystemLogUpkeep:
    """LogUpkeep. In threads of its own: a reader waits for none of it."""

    def __init__(self, directory: Path) -> None:
        self._paths = LogPaths(directory)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="log-upkeep")
        self._plain = PlainLogs(self._paths)

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

    async def _blocking(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

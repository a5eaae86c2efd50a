"""Wakes those who wait for a log to grow when the kernel says so, or by looking where it cannot know."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.filesystem.inotify import IGNORED, OVERFLOW, Inotify
from adapters.filesystem.log_growth import LogGrowth

LINGER_SECONDS: Final = 5.0
"""How long a directory is watched for the next waiter: a follower comes back after each wake."""

Measure = Callable[[Path], Awaitable[int]]


@dataclass(eq=False, slots=True)
class _Waiter:
    past: int
    grown: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False, slots=True)
class _Watched:
    """One log. `looking`: its size is being asked for; `again`: it has changed since."""

    watch: int
    waiters: set[_Waiter] = field(default_factory=set)
    looking: asyncio.Task[None] | None = None
    again: bool = False
    leave: asyncio.TimerHandle | None = None


class LogNotices:
    """One inotify descriptor for all logs of one event loop; an idle follower costs nothing.

    `measure` gives a log's size and may hang as long as the disk does: it must not block the loop.
    """

    def __init__(
        self, measure: Measure, blocking: Callable[[Callable[[], int | None]], Awaitable[int | None]]
    ) -> None:
        self._measure = measure
        self._blocking = blocking
        self._polling = LogGrowth()
        self._inotify: Inotify | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._logs: dict[Path, _Watched] = {}

    async def wait(self, path: Path, past: int, seconds: float) -> bool:
        """False if it is not larger than `past` after `seconds`."""
        log = await self._watched(path)
        if log is None:
            if await self._measure(path) > past:
                return True
            return await self._polling.wait(path, past, seconds)
        waiter = _Waiter(past)
        log.waiters.add(waiter)
        # Only now: what was written before the watch, or before this waiter, woke nobody.
        self._look(path, log)
        try:
            async with asyncio.timeout(seconds):
                await waiter.grown.wait()
        except TimeoutError:
            return await self._measure(path) > past  # events may have been lost
        else:
            return True
        finally:
            log.waiters.discard(waiter)
            self._leave_later(path, log)

    async def _watched(self, path: Path) -> _Watched | None:
        """None where nobody tells: another system, a shared disk, no directory yet, too many watches."""
        if path in self._logs and self._loop is asyncio.get_running_loop():
            return self._logs[path]
        try:
            inotify = self._opened()
            watch = await self._blocking(lambda: inotify.watch(path.parent))
        except OSError:
            return None
        return None if watch is None else self._logs.setdefault(path, _Watched(watch))

    def _opened(self) -> Inotify:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        if self._inotify is None:
            self._inotify, self._loop = Inotify(), loop
            loop.add_reader(self._inotify.fileno(), self._told)
        if self._loop is not loop:
            raise OSError("it belongs to another event loop")
        return self._inotify

    def _told(self) -> None:
        if self._inotify is None:
            return
        changed, gone, lost = set[int](), set[int](), False
        for watch, flags in self._inotify.events():
            (gone if flags & IGNORED else changed).add(watch)
            lost = lost or bool(flags & OVERFLOW)
        for path, log in list(self._logs.items()):
            if log.watch in gone:
                del self._logs[path]
            elif lost or log.watch in changed:
                self._look(path, log)

    def _look(self, path: Path, log: _Watched) -> None:
        log.again = True
        if log.looking is None and log.waiters:
            log.looking = asyncio.create_task(self._wake(path, log))

    async def _wake(self, path: Path, log: _Watched) -> None:
        try:
            while log.again and log.waiters:
                log.again = False
                size = await self._measure(path)
                for waiter in log.waiters:
                    if waiter.past < size:
                        waiter.grown.set()
        finally:
            log.looking = None

    def _leave_later(self, path: Path, log: _Watched) -> None:
        if not log.waiters and log.leave is None:
            log.leave = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._leave, path, log)

    def _leave(self, path: Path, log: _Watched) -> None:
        log.leave = None
        if log.waiters or self._logs.get(path) is not log:
            return
        del self._logs[path]
        if self._inotify is not None and not any(o.watch == log.watch for o in self._logs.values()):
            with suppress(OSError):
                self._inotify.forget(log.watch)

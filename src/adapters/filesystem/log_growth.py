"""Wakes those who wait for a log to grow."""

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.filesystem.stored_log import size_on_disk

SHORTEST: Final = 0.003
LONGEST: Final = 0.010
"""Seconds between two looks. inotify would not see what another machine writes (NFS)."""

_SHARE_OF_QUIET: Final = 0.01
_TIMES_ROUND: Final = 10
"""A look at all logs may take at most about a tenth of the thread's time."""

_LINGER: Final = 1.0
"""How long the thread stays for the next waiter: a follower comes back after each wake."""


@dataclass(eq=False, slots=True)
class _Waiter:
    past: int
    loop: asyncio.AbstractEventLoop
    grown: asyncio.Event = field(default_factory=asyncio.Event)


class LogGrowth:
    """One thread for all logs that anybody waits for, and none when nobody waits.

    It looks at a log's size once a round, however many wait for it. A thread, so that a hung disk
    holds up nobody but the waiters.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiters: dict[Path, set[_Waiter]] = {}
        self._thread: threading.Thread | None = None

    async def wait(self, path: Path, past: int, seconds: float) -> bool:
        waiter = _Waiter(past, asyncio.get_running_loop())
        self._add(path, waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter.grown.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._remove(path, waiter)

    def _add(self, path: Path, waiter: _Waiter) -> None:
        with self._changed:
            self._waiters.setdefault(path, set()).add(waiter)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="log-growth", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _remove(self, path: Path, waiter: _Waiter) -> None:
        with self._changed:
            waiters = self._waiters[path]
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[path]

    def _watch(self) -> None:
        grew_at = time.monotonic()
        while self._somebody_waits():
            begun = time.monotonic()
            if self._look():
                grew_at = begun
            now = time.monotonic()
            quiet = min(max((now - grew_at) * _SHARE_OF_QUIET, SHORTEST), LONGEST)
            time.sleep(max(quiet, (now - begun) * _TIMES_ROUND))

    def _somebody_waits(self) -> bool:
        with self._changed:
            if self._waiters or self._changed.wait_for(lambda: self._waiters, _LINGER):
                return True
            self._thread = None
            return False

    def _look(self) -> bool:
        """Whether any log has grown past what one of its waiters has."""
        with self._changed:
            paths = list(self._waiters)
        woken = False
        for path in paths:
            size = size_on_disk(path)
            with self._changed:
                grown = [w for w in self._waiters.get(path, ()) if w.past < size]
            _wake(grown)
            woken = woken or bool(grown)
        return woken


def _wake(waiters: list[_Waiter]) -> None:
    """One call a loop, however many wait in it."""
    for loop in {waiter.loop for waiter in waiters}:
        theirs = [waiter.grown for waiter in waiters if waiter.loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(_set_all, theirs)


def _set_all(events: list[asyncio.Event]) -> None:
    for event in events:
        event.set()

"""Ends a piece of code as kill -9 would, before or within any one of its changes to the disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

CHANGES = ("open", "write", "fsync", "utime", "rename", "unlink", "ftruncate")


class Killed(BaseException):
    """No `except OSError` catches it."""


def _raise() -> None:
    raise Killed


class Changes:
    """Counts changes, and ends the code at the one that is numbered `last`; a write is cut within."""

    def __init__(self, last: int | None, part: float, end: Callable[[], None]) -> None:
        self.count = 0
        self._last = last
        self._part = part
        self._end = end

    def replaced(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def change(*arguments: Any, **named: Any) -> Any:
            if self.count == self._last:
                if name == "write":
                    real(arguments[0], bytes(arguments[1])[: int(len(arguments[1]) * self._part)])
                self._end()
            self.count += 1
            return real(*arguments, **named)

        return change


@contextmanager
def killed_at(last: int | None, part: float = 0, end: Callable[[], None] = _raise) -> Iterator[Changes]:
    """Code inside ends at this change, if it comes so far. Only for code that cleans up nothing by itself."""
    changes = Changes(last, part, end)
    patches = [patch.object(os, name, changes.replaced(name)) for name in CHANGES]
    for one in patches:
        one.start()
    try:
        yield changes
    except Killed:
        pass
    finally:
        for one in patches:
            one.stop()

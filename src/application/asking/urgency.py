"""Whether somebody waits for the answer: better none soon than one late."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_URGENT: Final[ContextVar[bool]] = ContextVar("urgent", default=False)


@contextmanager
def urgently() -> Iterator[None]:
    """What is asked within is given up within 2 s if whoever is asked shows no sign of life. Holds for tasks
    that begin within, too. Work that nobody waits for has more patience: its own deadlines.
    """
    before = _URGENT.set(True)
    try:
        yield
    finally:
        _URGENT.reset(before)


def is_urgent() -> bool:
    return _URGENT.get()

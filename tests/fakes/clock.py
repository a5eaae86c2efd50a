"""A clock that stands until a test moves it."""

from datetime import datetime, timedelta

from tests.builders import NOON


class FakeClock:
    """Clock. Both clocks move together."""

    def __init__(self, at: datetime = NOON, elapsed: float = 1000.0) -> None:
        self._at = at
        self._elapsed = elapsed

    def now(self) -> datetime:
        return self._at

    def elapsed(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        self._at += timedelta(seconds=seconds)
        self._elapsed += seconds

"""Calls are counted by lots: most ask nobody, and all processes together keep to the rate."""

import asyncio

import pytest

from adapters.memory.rate_limits import MemoryRateLimits
from application import limit_rate
from application.limit_rate import LimitRate
from domain.errors import DatabaseUnavailable, RateExceeded
from domain.rate import Rate, Taken
from tests.fakes.clock import FakeClock

RATE = Rate(100, 100.0)


class CountedRateLimits(MemoryRateLimits):
    """Counts how often it is asked, and may be away."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.asked, self.away = 0, False

    async def take(self, subject: str, rate: Rate, wanted: int) -> Taken:
        self.asked += 1
        await asyncio.sleep(0)  # others come in meanwhile
        if self.away:
            raise DatabaseUnavailable("away")
        return await super().take(subject, rate, wanted)


class Site:
    """Several processes on one store."""

    def __init__(self, processes: int = 1, rate: Rate = RATE) -> None:
        self.clock = FakeClock()
        self.store = CountedRateLimits(self.clock)
        self.limits = [LimitRate(self.store, self.clock, rate, "test") for _ in range(processes)]

    async def calls(self, number: int, process: int = 0, subject: str = "alice") -> int:
        """How many of so many calls were let in."""
        passed = await asyncio.gather(
            *(self.limits[process](subject) for _ in range(number)), return_exceptions=True
        )
        assert all(isinstance(each, RateExceeded) for each in passed if isinstance(each, BaseException))
        return sum(not isinstance(each, BaseException) for each in passed)


async def test_the_quota_passes_and_one_more_does_not() -> None:
    site = Site()
    assert await site.calls(150) == 100
    assert site.store.asked == 21  # twenty lots, and the refusal, which is remembered
    site.clock.advance(3)
    assert await site.calls(10) == 3


async def test_a_refusal_says_when_to_come_again() -> None:
    site = Site()
    await site.calls(100)
    with pytest.raises(RateExceeded) as refused:
        await site.limits[0]("alice")
    assert refused.value.retry_after_seconds == pytest.approx(1.0)
    site.clock.advance(0.5)
    with pytest.raises(RateExceeded) as again:
        await site.limits[0]("alice")
    assert again.value.retry_after_seconds == pytest.approx(0.5)
    assert site.store.asked == 21


async def test_several_processes_keep_to_the_rate_together() -> None:
    site = Site(processes=4)
    passed = await asyncio.gather(*(site.calls(100, process) for process in range(4)))
    assert sum(passed) == 100


async def test_a_lot_that_lies_idle_is_dropped_so_that_nothing_can_be_used_late() -> None:
    site = Site(processes=4)
    for process in range(4):
        assert await site.calls(1, process) == 1  # each holds four more
    site.clock.advance(RATE.seconds)
    passed = await asyncio.gather(*(site.calls(100, process) for process in range(4)))
    assert sum(passed) == 100


async def test_what_is_left_is_told_and_comes_back() -> None:
    site = Site()
    quota = await site.limits[0]("alice")
    assert quota.left == 99
    assert quota.full_in_seconds == pytest.approx(5.0)
    assert site.limits[0].known("alice").left == 99
    site.clock.advance(5)
    assert site.limits[0].known("alice").left == 100
    assert site.limits[0].known("bob").left == 100


async def test_a_store_that_is_away_is_told_of_and_blocks_nobody_afterwards() -> None:
    site = Site()
    site.store.away = True
    with pytest.raises(DatabaseUnavailable):
        await site.limits[0]("alice")
    site.store.away = False
    assert await site.calls(100) == 100


async def test_many_subjects_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_rate, "MAX_SUBJECTS", 10)
    site = Site()
    for number in range(100):
        assert await site.calls(1, subject=str(number)) == 1
    assert len(site.limits[0].lots) == 10
    site.clock.advance(1000)
    assert await site.calls(1, subject="new") == 1
    assert len(site.limits[0].lots) == 1

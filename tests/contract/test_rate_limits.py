"""RateLimits: buckets that all processes take from."""

import asyncio

import pytest

from domain.rate import Rate
from tests.contract.kernels import Kernel

RATE = Rate(600, 60.0)
RIVALS = 20


async def test_a_bucket_is_full_at_first_and_never_gives_more_than_it_has(kernel: Kernel) -> None:
    first = await kernel.rates.take("alice", RATE, 500)
    assert (first.granted, first.left, first.wait_seconds) == (500, 100, 0.0)
    assert first.full_in_seconds == pytest.approx(50, abs=1)
    second = await kernel.rates.take("alice", RATE, 500)
    assert second.granted in range(100, 150)  # what came back meanwhile is granted too
    assert second.left == 0


async def test_an_empty_bucket_says_when_it_has_something_again(kernel: Kernel) -> None:
    slow = Rate(2, 3600.0)
    assert (await kernel.rates.take("alice", slow, 2)).granted == 2
    refused = await kernel.rates.take("alice", slow, 1)
    assert (refused.granted, refused.left) == (0, 0)
    assert refused.wait_seconds == pytest.approx(1800, abs=60)
    await kernel.pass_time(refused.wait_seconds)
    assert (await kernel.rates.take("alice", slow, 5)).granted == 1


async def test_a_refusal_costs_the_caller_nothing(kernel: Kernel) -> None:
    slow = Rate(1, 3600.0)
    await kernel.rates.take("alice", slow, 1)
    waits = [(await kernel.rates.take("alice", slow, 1)).wait_seconds for _ in range(5)]
    assert waits == sorted(waits, reverse=True)


async def test_a_bucket_fills_evenly_up_to_its_quota(kernel: Kernel) -> None:
    slow = Rate(10, 3600.0)
    await kernel.rates.take("alice", slow, 10)
    await kernel.pass_time(3 * 360 + 1)
    assert (await kernel.rates.take("alice", slow, 10)).granted == 3
    await kernel.pass_time(100 * 3600)
    assert (await kernel.rates.take("alice", slow, 50)).granted == 10


async def test_the_first_call_of_a_bucket_takes_no_more_than_the_quota(kernel: Kernel) -> None:
    taken = await kernel.rates.take("alice", Rate(10, 3600.0), 50)
    assert (taken.granted, taken.left) == (10, 0)


async def test_subjects_are_apart(kernel: Kernel) -> None:
    slow = Rate(1, 3600.0)
    assert (await kernel.rates.take("alice", slow, 1)).granted == 1
    assert (await kernel.rates.take("alice ", slow, 1)).granted == 1


async def test_a_quota_that_was_lowered_holds_at_once(kernel: Kernel) -> None:
    await kernel.rates.take("alice", Rate(100, 3600.0), 100)
    assert (await kernel.rates.take("alice", Rate(10, 3600.0), 1)).granted == 0


async def test_rivals_get_no_more_together_than_the_bucket_had(kernel: Kernel) -> None:
    slow = Rate(50, 36000.0)
    taken = await asyncio.gather(*(kernel.rates.take("alice", slow, 4) for _ in range(RIVALS)))
    assert sum(each.granted for each in taken) == 50
    assert {each.granted for each in taken} <= {0, 2, 4}


async def test_what_is_full_again_is_forgotten_and_nothing_else(kernel: Kernel) -> None:
    slow = Rate(2, 3600.0)
    await kernel.rates.take("past", slow, 1)
    await kernel.pass_time(1801)
    await kernel.rates.take("present", slow, 2)
    assert await kernel.rates.forget() == 1
    assert await kernel.rates.forget() == 0
    assert (await kernel.rates.take("present", slow, 1)).granted == 0
    assert (await kernel.rates.take("past", slow, 2)).granted == 2

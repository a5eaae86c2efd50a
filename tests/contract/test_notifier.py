"""The contract of Notifier: wake-ups reach every process soon, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from adapters.memory.notifier import MemoryNotifier
from adapters.memory.records import Records
from application.ports.notifier import (
    CancelRequested,
    JobChanged,
    JobsWaiting,
    Notice,
    Notifier,
    Reconnected,
    Subscription,
    changes_of,
)
from tests.contract.kernels import closing

SOON = 20.0
"""Longer than any notice takes, so that only a lost one reaches it."""


@pytest.fixture
async def notifiers(store_url: str | None) -> AsyncIterator[tuple[Notifier, Notifier]]:
    """Those of two processes of one installation."""
    if store_url is None:
        records = Records()
        yield MemoryNotifier(records), MemoryNotifier(records)
        return
    from adapters.postgres.notifier import PostgresNotifier  # noqa: PLC0415 - drivers load when they are used

    async with closing(PostgresNotifier(store_url)) as one, closing(PostgresNotifier(store_url)) as other:
        yield one, other


async def until(subscription: Subscription, wanted: set[Notice]) -> set[Notice]:
    """Everything that arrived until all that is wanted has."""
    seen: set[Notice] = set()
    async with asyncio.timeout(SOON):
        while not wanted <= seen:
            seen |= await subscription.wait(SOON)
    return seen


async def test_a_notice_reaches_the_other_process_and_the_own_one(
    notifiers: tuple[Notifier, Notifier],
) -> None:
    one, other = notifiers
    wanted: set[Notice] = {JobsWaiting("etl"), CancelRequested(uuid4(), uuid4()), JobChanged(uuid4())}
    async with one.subscribe() as mine, other.subscribe() as theirs:
        one.publish(*wanted)
        assert await until(mine, wanted) >= wanted
        assert await until(theirs, wanted) >= wanted


async def test_a_notice_wakes_who_already_waits(notifiers: tuple[Notifier, Notifier]) -> None:
    one, other = notifiers
    async with other.subscribe() as subscription:
        waiting = asyncio.create_task(until(subscription, {JobsWaiting("etl")}))
        await asyncio.sleep(0)
        one.publish(JobsWaiting("etl"))
        assert JobsWaiting("etl") in await waiting


async def test_every_subscription_of_a_process_hears_of_it(notifiers: tuple[Notifier, Notifier]) -> None:
    one, other = notifiers
    notice = JobChanged(uuid4())
    async with AsyncExitStack() as stack:
        subscriptions = [await stack.enter_async_context(other.subscribe()) for _ in range(20)]
        one.publish(notice)
        for subscription in subscriptions:
            assert notice in await until(subscription, {notice})


async def test_equal_notices_are_kept_once(notifiers: tuple[Notifier, Notifier]) -> None:
    one, other = notifiers
    last = JobChanged(uuid4())
    async with other.subscribe() as subscription:
        for _ in range(500):
            one.publish(JobsWaiting("etl"))
        one.publish(last)
        seen: list[Notice] = []
        async with asyncio.timeout(SOON):
            while last not in seen:
                seen += await subscription.wait(SOON)
        assert seen.count(JobsWaiting("etl")) < 50


async def test_a_name_that_is_not_plain_arrives_as_it_is(notifiers: tuple[Notifier, Notifier]) -> None:
    one, other = notifiers
    wanted: set[Notice] = {JobsWaiting("größe 'x'; -- \\ \n: ,{}"), JobsWaiting("q" * 200), JobsWaiting("")}
    async with other.subscribe() as subscription:
        one.publish(*wanted)
        assert await until(subscription, wanted) >= wanted


async def test_a_wait_without_a_notice_ends_empty(notifiers: tuple[Notifier, Notifier]) -> None:
    one, _ = notifiers
    async with one.subscribe() as subscription:
        # What a fresh connection may say of itself is taken first.
        while await subscription.wait(0.2):
            pass
        assert await subscription.wait(0.05) == frozenset()


async def test_what_was_taken_is_not_told_again(notifiers: tuple[Notifier, Notifier]) -> None:
    one, other = notifiers
    first, second = JobChanged(uuid4()), JobChanged(uuid4())
    async with other.subscribe() as subscription:
        one.publish(first)
        await until(subscription, {first})
        one.publish(second)
        assert first not in await until(subscription, {second})


async def test_what_nobody_wants_wakes_nobody(notifiers: tuple[Notifier, Notifier]) -> None:
    one, other = notifiers
    wanted = JobChanged(uuid4())
    async with (
        one.subscribe(changes_of(wanted.job_id)) as mine,
        other.subscribe(changes_of(wanted.job_id)) as theirs,
    ):
        one.publish(JobsWaiting("etl"), CancelRequested(uuid4(), uuid4()), JobChanged(uuid4()))
        one.publish(wanted)
        for subscription in (mine, theirs):
            assert await until(subscription, {wanted}) <= {wanted, Reconnected()}


async def test_publishing_to_nobody_is_no_error(notifiers: tuple[Notifier, Notifier]) -> None:
    one, _ = notifiers
    one.publish()
    one.publish(JobsWaiting("etl"))
    async with one.subscribe():
        pass
    one.publish(JobsWaiting("etl"))


async def test_many_notices_of_many_publishers_all_arrive(notifiers: tuple[Notifier, Notifier]) -> None:
    one, other = notifiers
    wanted: set[Notice] = {JobChanged(uuid4()) for _ in range(400)}
    publish: list[Callable[..., None]] = [one.publish, other.publish]
    async with one.subscribe() as subscription:
        for number, notice in enumerate(wanted):
            publish[number % 2](notice)
        assert await until(subscription, wanted) >= wanted

"""The contract of Leadership: one of many does the maintenance, and a dead leader is replaced."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from adapters.memory.leadership import MemoryLeadership
from adapters.memory.records import Records
from application.ports.leadership import Leadership
from tests.contract.kernels import closing

RIVALS = 20


@dataclass(frozen=True, slots=True)
class Election:
    """`kill_leader` ends the leader's connection as kill -9 of its process would."""

    rivals: list[Leadership]
    kill_leader: Callable[[], Awaitable[None]]

    async def won(self) -> list[Leadership]:
        answers = await asyncio.gather(*(rival.campaign() for rival in self.rivals))
        return [rival for rival, leads in zip(self.rivals, answers, strict=True) if leads]


@pytest.fixture
async def election(store_url: str | None) -> AsyncIterator[Election]:
    if store_url is None:
        records = Records()

        async def forget() -> None:
            records.leader = None

        yield Election([MemoryLeadership(records) for _ in range(RIVALS)], forget)
        return
    from adapters.postgres.leadership import PostgresLeadership  # noqa: PLC0415 - drivers load when they are used
    from tests.contract.postgres_kernel import end_holders_of_advisory_locks  # noqa: PLC0415 - as above

    url = store_url
    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(closing(PostgresLeadership(url))) for _ in range(RIVALS)]
        yield Election(list(rivals), lambda: end_holders_of_advisory_locks(url))


async def test_of_20_rivals_exactly_one_leads(election: Election) -> None:
    assert len(await election.won()) == 1


async def test_the_leader_goes_on_leading(election: Election) -> None:
    (leader,) = await election.won()
    for _ in range(3):
        assert await leader.campaign()
        assert await election.won() == [leader]


async def test_after_a_leader_resigned_another_one_leads(election: Election) -> None:
    (first,) = await election.won()
    await first.resign()
    others = [rival for rival in election.rivals if rival is not first]
    answers = await asyncio.gather(*(rival.campaign() for rival in others))
    assert sum(answers) == 1
    assert not await first.campaign()


async def test_resigning_again_or_without_leading_changes_nothing(election: Election) -> None:
    (leader,) = await election.won()
    for rival in election.rivals:
        if rival is not leader:
            await rival.resign()
    assert await election.won() == [leader]
    await leader.resign()
    await leader.resign()
    assert len(await election.won()) == 1


async def test_a_leader_that_died_is_replaced_by_one(election: Election) -> None:
    (first,) = await election.won()
    await election.kill_leader()
    others = [rival for rival in election.rivals if rival is not first]
    async with asyncio.timeout(30):
        # Polling is how a rival learns of it in the product too.
        while not any([await rival.campaign() for rival in others]):  # noqa: ASYNC110 - as said above
            await asyncio.sleep(0.05)
    assert not await first.campaign()
    assert len(await election.won()) == 1

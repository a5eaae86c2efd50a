import asyncio
from collections.abc import Sequence

import pytest

from application.asking.batching import MAX_BATCH, Batch
from domain.errors import DatabaseUnavailable

LIMIT = 30.0


class Flush:
    """Doubles each item; waits for `go` before it answers."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        self.began = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        self.began.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return [2 * item for item in items]


async def test_a_lone_item_waits_for_nobody() -> None:
    flush = Flush()
    flush.go.set()
    assert await asyncio.wait_for(Batch(flush)(1), LIMIT) == 2
    assert flush.batches == [[1]]


async def test_what_arrives_meanwhile_goes_into_one_next_batch_and_answers_keep_their_order() -> None:
    flush = Flush()
    batch = Batch(flush)
    first = asyncio.create_task(batch(0))
    await flush.began.wait()
    others = [asyncio.create_task(batch(n)) for n in range(1, 50)]
    await asyncio.sleep(0)
    flush.go.set()
    answers = await asyncio.wait_for(asyncio.gather(first, *others), LIMIT)
    assert answers == [2 * n for n in range(50)]
    assert flush.batches == [[0], list(range(1, 50))]


async def test_no_batch_is_larger_than_the_limit() -> None:
    flush = Flush()
    flush.go.set()
    batch = Batch(flush)
    answers = await asyncio.wait_for(asyncio.gather(*map(batch, range(MAX_BATCH + 1))), LIMIT)
    assert len(answers) == MAX_BATCH + 1
    assert [len(each) for each in flush.batches] == [MAX_BATCH, 1]


async def test_an_error_reaches_every_caller_of_its_batch_and_no_later_one() -> None:
    flush = Flush()
    flush.go.set()
    flush.error = DatabaseUnavailable("away")
    batch = Batch(flush)
    ended = await asyncio.wait_for(asyncio.gather(batch(1), batch(2), return_exceptions=True), LIMIT)
    assert list(ended) == [flush.error] * 2
    flush.error = None
    assert await asyncio.wait_for(batch(3), LIMIT) == 6


async def test_an_answer_that_is_an_error_reaches_its_own_caller_alone() -> None:
    wrong = ValueError("odd")

    async def flush(items: Sequence[int]) -> Sequence[int | Exception]:
        return [wrong if item % 2 else item for item in items]

    batch = Batch(flush)
    ended = await asyncio.wait_for(asyncio.gather(*map(batch, range(3)), return_exceptions=True), LIMIT)
    assert list(ended) == [0, wrong, 2]


async def test_a_flush_that_has_taken_too_long_holds_up_no_later_item() -> None:
    flush = Flush()
    batch = Batch(flush, patience=0.0)
    stuck = asyncio.create_task(batch(1))
    await flush.began.wait()
    hanging, flush.go = flush.go, asyncio.Event()
    flush.go.set()
    assert await asyncio.wait_for(batch(2), LIMIT) == 4
    assert not stuck.done()
    hanging.set()
    assert await asyncio.wait_for(stuck, LIMIT) == 2


async def test_a_caller_who_left_does_not_disturb_the_others() -> None:
    flush = Flush()
    batch = Batch(flush)
    leaving, staying = asyncio.create_task(batch(1)), asyncio.create_task(batch(2))
    await flush.began.wait()
    leaving.cancel()
    flush.go.set()
    assert await asyncio.wait_for(staying, LIMIT) == 4
    with pytest.raises(asyncio.CancelledError):
        await leaving

"""When duties are done."""

import asyncio

from entrypoints.worker.maintenance import Duty, Maintenance
from tests.fakes.clock import FakeClock

FULL = 500


async def test_a_duty_that_did_all_it_may_at_a_time_is_done_again_before_its_time() -> None:
    left, calls, done = [2 * FULL + 3], 0, asyncio.Event()

    async def prune() -> int:
        nonlocal calls
        calls += 1
        some = min(FULL, left[0])
        left[0] -= some
        return some

    async def last() -> int:
        if not left[0]:
            done.set()
        return 0

    # The clock stands still: what is done once a minute is done once.
    duties = [Duty("prune", 60.0, prune, FULL), Duty("last", 0.0, last)]
    maintenance = Maintenance(duties, None, FakeClock(), 0.001)
    maintenance.start()
    await asyncio.wait_for(done.wait(), 30)
    done.clear()
    await asyncio.wait_for(done.wait(), 30)
    await maintenance.stop()
    assert (left[0], calls) == (0, 3)

import pytest

from domain.errors import DiskNearlyFull, DiskUnavailable
from tests.unit.application.worlds import World


async def test_below_the_floor_nothing_is_claimed_until_there_is_room(world: World) -> None:
    await world.begin()
    job = await world.queued()
    claim = world.claim()
    world.disk.free = 999
    with pytest.raises(DiskNearlyFull, match="disk_floor"):
        await claim()
    world.disk.free = None
    with pytest.raises(DiskUnavailable):
        await claim()
    world.disk.free = 1000
    assert [claimed.id for claimed in await claim()] == [job.id]

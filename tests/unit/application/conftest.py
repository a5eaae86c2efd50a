import pytest

from tests.unit.application.worlds import World


@pytest.fixture
async def world() -> World:
    return World()

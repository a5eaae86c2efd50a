import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.process.rig import Rig, a_rig

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as rig:
        yield rig

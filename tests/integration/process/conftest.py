import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.process.runner import SupervisedProcessRunner
from tests.integration.process.rig import Rig

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Closes with the proof that holds for every test: no process of any program is left, and the
    zygote and the supervisors had nothing to complain about.
    """
    rig = Rig(tmp_path, SupervisedProcessRunner(tmp_path / "run"))
    await rig.runner.open()
    yield rig
    await rig.runner.close()
    assert rig.survivors() == []
    assert (rig.run_directory / "supervisor.log").read_text() == ""

"""Installations that tests share, and those that a test may break."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import ROOT, Installation


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Runs the examples, and commands. Nobody stops it."""
    installation = Installation(tmp_path_factory.mktemp("shared"), ["--scripts.allow_commands=on"])
    installation.scripts.symlink_to(ROOT / "examples" / "scripts")
    installation.serve()
    yield installation
    installation.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Installation]:
    """Not started yet."""
    installation = Installation(tmp_path)
    yield installation
    installation.stop()

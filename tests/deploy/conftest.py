"""What the tests of a deployment share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.node import Place


@pytest.fixture
def place() -> Iterator[Place]:
    """Short: a socket's name has room for 107 bytes. Other users may pass."""
    directory = Path(tempfile.mkdtemp(prefix="etl-deploy-"))
    directory.chmod(0o755)
    yield Place(directory)
    shutil.rmtree(directory, ignore_errors=True)

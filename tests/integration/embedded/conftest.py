import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.embedded.postgres import EmbeddedPostgres


@pytest.fixture
def directory() -> Iterator[Path]:
    """Does not exist yet, and as root lies below a directory (0700) that no other user may search.

    Unlike one below tmp_path it is short enough for a socket.
    """
    with tempfile.TemporaryDirectory(prefix="etl-test-", ignore_cleanup_errors=True) as parent:
        yield Path(parent) / "a user's data" / "postgres"


@pytest.fixture
async def server(directory: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(directory)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """One that every user of this machine may search, unlike tmp_path."""
    path = Path(tempfile.mkdtemp(prefix="etl-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)

"""What an idle server need not have in its memory."""

import subprocess
import sys

import pytest

from tests.architecture.sources import SRC

STARTED = """
import sys
sys.path.insert(0, sys.argv[1])
import entrypoints.cli.server, entrypoints.lifespan
print(*sorted(sys.modules), sep="\\n")
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """In a process of its own: this one has loaded what tests need."""
    told = subprocess.run(
        [sys.executable, "-I", "-c", STARTED, str(SRC)], capture_output=True, text=True, check=True
    )
    return set(told.stdout.split())


@pytest.mark.parametrize("package", ["alembic", "mako", "cryptography", "jwt", "httpx", "opentelemetry"])
def test_a_start_does_not_load_what_only_some_starts_need(loaded: set[str], package: str) -> None:
    """Some 25 MB together: migrations, access tokens, exports."""
    assert "litestar" in loaded
    assert package not in loaded

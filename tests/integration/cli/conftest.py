"""The command line as a process, against a server that a test plays."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.integration.cli.fake_server import FakeServer, running

PROGRAM = Path(__file__).resolve().parents[3] / "src" / "entrypoints" / "cli" / "__main__.py"
Etl = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running(FakeServer()) as server:
        yield server


def environment(fake: FakeServer | None, **more: str) -> Mapping[str, str]:
    """Nothing of the tests' own settings."""
    known = {} if fake is None else {"ETL_URL": fake.url, "ETL_API_KEY": "etl_secret"}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, **known, **more}


@pytest.fixture
def etl(fake: FakeServer, tmp_path: Path) -> Etl:
    """Runs `etl ARGS` to its end in an empty directory."""

    def run(*arguments: str, **more: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [sys.executable, "-I", PROGRAM, *arguments],
            cwd=tmp_path,
            env=environment(fake, **more),
            capture_output=True,
            timeout=60,
            check=False,
        )

    return run

"""The wheel holds all that runs: it serves from an environment that knows no checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.e2e.installation import ROOT, Installation


class Installed(Installation):
    """As `pip install etl-orchestrator` leaves it."""

    def argv(self, *arguments: str) -> list[str]:
        return [str(self.directory / "venv/bin/etl"), *arguments]


def run(*argv: str | Path) -> None:
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """The wheel alone in a new environment; libraries are those of this one."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "src"):
        (source / name).symlink_to(ROOT / name)
    run(*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv/bin/python"
    run(*pip, "--python", python, "install", "--no-index", "--no-deps", wheel)
    packages = tmp_path / "venv/lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + os.linesep)
    return Installed(tmp_path)


def test_it_serves_and_runs_a_job(installed: Installed) -> None:
    script = installed.script("hello.sh", "echo hello\n")
    installed.serve()
    try:
        done = installed.etl("run", script)
        assert (done.returncode, done.stdout) == (0, b"hello\n"), done.stderr
        assert installed.call("GET", "/workers")["items"][0]["version"] == "0.1.0"
    finally:
        installed.stop()

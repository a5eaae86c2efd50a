"""systemd understands every line of the units, and they name settings and commands that exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.cli.main import COMMANDS
from entrypoints.settings import load
from tests.e2e.installation import ROOT

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
INSTALLED = "/opt/etl/bin/etl"


def values(unit: Path, name: str) -> list[str]:
    lines = [line.partition("=") for line in unit.read_text().splitlines()]
    return [value for key, _, value in lines if key == name]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_fault(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(INSTALLED, sys.executable))  # it looks for the program
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    faults = [line for line in said.stderr.splitlines() if unit.name in line]
    assert (said.returncode, faults) == (0, []), said.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_commands_and_settings_are_those_of_the_program(unit: Path, tmp_path: Path) -> None:
    (start,) = values(unit, "ExecStart")
    program, command, *_ = start.split()
    assert program == INSTALLED
    assert command in COMMANDS
    environment = dict(value.split("=", 1) for value in values(unit, "Environment"))
    secret = tmp_path / "secret"
    secret.write_text("postgresql://etl@db/etl\n")
    given = {name: str(secret) if name.endswith("_FILE") else value for name, value in environment.items()}
    load({}, given, tmp_path, None)  # raises WrongSetting for a name or value that is none


def test_the_api_may_write_where_the_documents_put_the_logs() -> None:
    """Else it is never ready: all but its own directory is read-only."""
    documented = re.findall(r'\[logs\]\ndirectory = "(.+?)"', (ROOT / "docs/installation.md").read_text())
    unit = ROOT / "deploy/systemd/etl-api.service"
    assert values(unit, "ProtectSystem") == ["strict"]
    assert documented == [path.removeprefix("-") for path in values(unit, "ReadWritePaths")]

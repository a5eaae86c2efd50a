"""Each fault of processes and logs that was foreseen has a test that makes it happen and bears its number."""

import re

import pytest

from tests.architecture.sources import ROOT

TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
NAMES = re.findall(r"^(?:async )?def test_((?:f[0-9]{2}_)+)", TESTS, re.MULTILINE)
COVERED = {number for name in NAMES for number in name.strip("_").split("_")}


@pytest.mark.parametrize("number", range(20, 54))
def test_a_test_bears_the_number_of_each_fault_of_processes(number: int) -> None:
    assert f"f{number}" in COVERED

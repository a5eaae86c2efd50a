"""The locks pin every file by its hash, name no place that only one machine has, and fit pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"([a-z0-9._-]+)(?:\[[a-z,]+\])?==([^\s;]+)(?: ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
LOCKS = ("runtime", "test", "build")


def lines(name: str) -> list[str]:
    return (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def pins(name: str) -> dict[str, str]:
    return {found[1]: found[2] for line in lines(name) if (found := PIN.fullmatch(line))}


def project() -> dict[str, list[str]]:
    """What pyproject.toml asks for, by lock."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = data["project"]["dependencies"]
    groups = data["dependency-groups"]
    return {"runtime": runtime, "test": [*runtime, *groups["test"]], "build": groups["build"]}


@pytest.mark.parametrize("name", LOCKS)
def test_each_line_is_a_pin_or_a_hash_so_no_host_and_no_path_can_stand_there(name: str) -> None:
    assert [line for line in lines(name) if not PIN.fullmatch(line) and not HASH.fullmatch(line)] == []


@pytest.mark.parametrize("name", LOCKS)
def test_each_pin_is_followed_by_a_hash(name: str) -> None:
    found = lines(name)
    naked = [
        a for a, b in zip(found, [*found[1:], ""], strict=True) if PIN.fullmatch(a) and not HASH.fullmatch(b)
    ]
    assert naked == []


@pytest.mark.parametrize("name", LOCKS)
def test_everything_that_pyproject_asks_for_is_locked(name: str) -> None:
    asked = {re.split(r"[^A-Za-z0-9._-]", text)[0].lower() for text in project()[name]}
    assert asked - set(pins(name)) == set()


def test_tests_run_with_the_versions_that_users_get() -> None:
    runtime, test = pins("runtime"), pins("test")
    assert {name: test.get(name) for name in runtime} == runtime

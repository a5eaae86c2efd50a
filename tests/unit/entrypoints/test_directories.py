"""What keeps a user from a directory is told, and never raised."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from domain.errors import WrongSetting
from entrypoints.directories import (
    NO_DIRECTORY,
    make_directory,
    make_own_directory,
    require_program,
    trouble_with,
)

NOBODY = 65534


@contextmanager
def a_plain_user() -> Iterator[None]:
    """Root may do everything, so somebody else looks."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_directory_of_ones_own_is_no_trouble(tmp_path: Path) -> None:
    assert trouble_with(tmp_path, os.R_OK) is None
    assert trouble_with(tmp_path, os.W_OK) is None


def test_nothing_and_a_file_are_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert trouble_with(tmp_path / "file", os.R_OK) == NO_DIRECTORY
    assert trouble_with(tmp_path / "file" / "below", os.R_OK) == NO_DIRECTORY
    assert trouble_with(tmp_path / "none", os.R_OK) == NO_DIRECTORY


def test_one_that_only_others_may_look_into_is_told_of(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0)
    try:
        with a_plain_user():
            assert trouble_with(closed / "data", os.R_OK) == "cannot be reached"
    finally:
        closed.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
@pytest.mark.parametrize(("mode", "word"), [(os.R_OK, "read"), (os.W_OK, "written")])
def test_one_that_may_not_be_used_is_told_of(tmp_path: Path, mode: int, word: str) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert trouble_with(tmp_path / "closed", mode) == f"cannot be {word}"


def test_whether_a_directory_is_new_is_told(tmp_path: Path) -> None:
    assert make_directory(tmp_path / "a" / "b", "scripts.directory")
    assert not make_directory(tmp_path / "a" / "b", "scripts.directory")


def test_a_data_directory_of_somebody_else_is_refused_by_its_own_name(tmp_path: Path) -> None:
    make_own_directory(tmp_path / "mine", "data.directory")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").mkdir(mode=0o555)
    with a_plain_user(), pytest.raises(WrongSetting) as caught:
        make_own_directory(tmp_path / "theirs", "data.directory")
    assert caught.value.detail.startswith(f"data.directory: {tmp_path}/theirs ")


@pytest.mark.parametrize("name", ["none", "directory", "text"])
def test_an_interpreter_that_cannot_be_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "text").touch(mode=0o644)
    with pytest.raises(WrongSetting, match=rf"scripts\.python: .*/{name} is no program"):
        require_program(tmp_path / name, "scripts.python")


def test_the_interpreter_that_runs_this_is_a_program() -> None:
    require_program(Path(sys.executable), "scripts.python")

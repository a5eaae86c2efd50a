"""What a scripts directory may hold, and what of it runs."""

import os
from pathlib import Path

import pytest

from adapters.filesystem.script_catalog import FilesystemScriptCatalog
from domain.errors import UnknownScript


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    directory = tmp_path / "scripts"
    directory.mkdir()
    return directory


@pytest.fixture
def catalog(scripts: Path) -> FilesystemScriptCatalog:
    return FilesystemScriptCatalog(scripts, "/usr/bin/python3")


def refusal(catalog: FilesystemScriptCatalog, name: str) -> str:
    with pytest.raises(UnknownScript) as refused:
        catalog.argv(name)
    assert str(catalog.directory) not in str(refused.value.places)
    return refused.value.places[0].detail


def test_a_symlink_that_leaves_the_directory_is_refused(
    catalog: FilesystemScriptCatalog, scripts: Path
) -> None:
    outside = scripts.parent / "outside"
    outside.mkdir()
    (outside / "x.py").touch()
    (scripts / "x.py").symlink_to(outside / "x.py")
    (scripts / "sub").symlink_to(outside)
    assert "leaves" in refusal(catalog, "x.py")
    assert "leaves" in refusal(catalog, "sub/x.py")


def test_a_sibling_whose_name_begins_alike_is_outside(
    catalog: FilesystemScriptCatalog, scripts: Path
) -> None:
    sibling = scripts.parent / "scripts-old"
    sibling.mkdir()
    (sibling / "x.py").touch()
    (scripts / "x.py").symlink_to(sibling / "x.py")
    assert "leaves" in refusal(catalog, "x.py")


def test_a_symlink_within_the_directory_runs_what_it_points_to(
    catalog: FilesystemScriptCatalog, scripts: Path
) -> None:
    (scripts / "real.py").touch()
    (scripts / "latest").symlink_to("real.py")
    assert catalog.argv("latest") == ("/usr/bin/python3", str(scripts / "real.py"))


def test_the_directory_itself_may_be_a_symlink(scripts: Path) -> None:
    (scripts / "x.py").touch()
    current = scripts.parent / "current"
    current.symlink_to(scripts)
    assert FilesystemScriptCatalog(current, "py").argv("x.py") == ("py", str(scripts / "x.py"))


def test_symlinks_in_a_circle_and_to_nothing_are_refused(
    catalog: FilesystemScriptCatalog, scripts: Path
) -> None:
    (scripts / "a.py").symlink_to("b.py")
    (scripts / "b.py").symlink_to("a.py")
    (scripts / "c.py").symlink_to("nothing.py")
    assert "no file" in refusal(catalog, "a.py")
    assert "no file" in refusal(catalog, "c.py")


def test_a_file_whose_name_could_be_taken_for_something_else_is_refused(
    catalog: FilesystemScriptCatalog, scripts: Path
) -> None:
    for name in ("a\\b.py", "-c.py", "line\n.py"):
        (scripts / name).touch()
        refusal(catalog, name)


def test_what_is_no_regular_file_is_refused(catalog: FilesystemScriptCatalog, scripts: Path) -> None:
    (scripts / "directory.py").mkdir()
    os.mkfifo(scripts / "fifo.py")
    assert "regular" in refusal(catalog, "directory.py")
    assert "regular" in refusal(catalog, "fifo.py")


def test_a_file_that_anybody_may_change_is_refused(catalog: FilesystemScriptCatalog, scripts: Path) -> None:
    (scripts / "x.py").touch()
    (scripts / "x.py").chmod(0o646)
    assert "chmod o-w" in refusal(catalog, "x.py")


def test_other_files_need_their_x_bit(catalog: FilesystemScriptCatalog, scripts: Path) -> None:
    (scripts / "tool").touch(mode=0o644)
    assert "chmod +x" in refusal(catalog, "tool")
    (scripts / "tool").chmod(0o755)
    assert catalog.argv("tool") == (str(scripts / "tool"),)


def test_a_directory_that_is_not_there_is_no_crash(tmp_path: Path) -> None:
    assert "no file" in refusal(FilesystemScriptCatalog(tmp_path / "missing", "py"), "x.py")


def test_the_directory_is_absolute_whatever_was_given() -> None:
    assert FilesystemScriptCatalog(Path("scripts"), "py").directory.is_absolute()


def test_a_directory_that_may_not_be_entered_is_told_from_a_wrong_name(
    catalog: FilesystemScriptCatalog, scripts: Path
) -> None:
    (scripts / "closed").mkdir()
    (scripts / "closed" / "x.py").touch()
    (scripts / "closed").chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)  # root may enter everything
    try:
        assert refusal(catalog, "closed/x.py") == "is in a directory that the server's user may not enter"
    finally:
        os.seteuid(before)
        (scripts / "closed").chmod(0o700)


def test_a_name_that_begins_with_the_directorys_own_is_told_to_begin_below_it(
    catalog: FilesystemScriptCatalog, scripts: Path
) -> None:
    (scripts / "x.py").touch()
    assert refusal(catalog, "scripts/x.py") == "is no file in the scripts directory; leave `scripts/` out"
    assert refusal(catalog, "scripts-old/x.py") == "is no file in the scripts directory; check the name"
    (scripts / "scripts").mkdir()
    (scripts / "scripts" / "x.py").touch()
    assert catalog.argv("scripts/x.py") == ("/usr/bin/python3", str(scripts / "scripts" / "x.py"))

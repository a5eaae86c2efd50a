"""Programs that PostgreSQL's user cannot reach are copied to where it can."""

import os
import shutil
from pathlib import Path

import pytest

from adapters.embedded import binaries
from adapters.embedded.account import account_for
from adapters.embedded.postgres import EmbeddedPostgres
from tests.integration.embedded.keeping import one

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@root_only
def test_programs_in_an_unreadable_home_are_copied_with_their_libraries(
    tmp_path: Path, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = binaries._in_wheel().parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, tmp_path / "site" / part.name, symlinks=True)
    origin = tmp_path / "site" / package.name / f"pginstall{binaries.MAJOR}" / "bin"
    monkeypatch.setattr(binaries, "_in_wheel", lambda: origin)
    monkeypatch.setattr(binaries, "SYSTEM_CACHE", open_directory / "cache")
    account = account_for(tmp_path / "none")
    copy = binaries.binaries_for(account)
    assert copy.is_relative_to(open_directory / "cache")
    assert binaries.binaries_for(account) == copy
    assert [
        path
        for path in (open_directory / "cache").rglob("*")
        if path.stat().st_uid or path.stat().st_mode & 0o022
    ] == []


@root_only
async def test_a_database_runs_from_copied_programs(
    directory: Path, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = binaries._in_wheel()
    copy = binaries._copied(origin, open_directory / "cache")
    assert copy is not None
    monkeypatch.setattr(binaries, "_in_wheel", lambda: copy)
    server = EmbeddedPostgres(directory)
    assert one(await server.start(), "SELECT 1") == 1
    await server.stop()


@root_only
def test_a_cache_of_programs_that_others_could_write_is_not_used(open_directory: Path) -> None:
    planted = open_directory / "cache"
    planted.mkdir()
    os.chown(planted, 65534, 65534)
    assert binaries._copied(binaries._in_wheel(), planted) is None
    (open_directory / "link").symlink_to(planted)
    assert binaries._copied(binaries._in_wheel(), open_directory / "link") is None

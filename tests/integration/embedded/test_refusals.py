"""What it cannot do it says in a sentence that names the cure, and leaves everything as it was."""
# ruff: noqa: ASYNC221 - a test waits for what it starts, and nothing else runs meanwhile

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from adapters.embedded import binaries
from adapters.embedded.account import account_for
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.embedded.programs import Programs
from domain.errors import DatabaseDidNotStart, DataDirectoryInUse, DataDirectoryUnusable
from tests.integration.embedded.keeping import eventually, execute, keeping, one

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")


async def test_a_second_owner_is_refused_and_does_not_disturb_the_first(
    server: EmbeddedPostgres, directory: Path
) -> None:
    with pytest.raises(DataDirectoryInUse, match="Another process keeps the database"):
        await EmbeddedPostgres(directory).start()
    assert one(server.url, "SELECT 1") == 1


def test_a_second_process_is_refused_too(directory: Path) -> None:
    with keeping(directory), keeping(directory) as second:
        assert second.told["error"] == "DataDirectoryInUse"


async def test_a_refused_owner_can_start_once_the_first_has_left(directory: Path) -> None:
    first, second = EmbeddedPostgres(directory), EmbeddedPostgres(directory)
    await first.start()
    with pytest.raises(DataDirectoryInUse):
        await second.start()
    await first.stop()
    assert one(await second.start(), "SELECT 1") == 1
    await second.stop()


async def test_a_database_of_another_major_version_is_left_as_it_is(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    execute(await server.start(), "CREATE TABLE kept ()")
    await server.stop()
    version = directory / "cluster" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(
        DataDirectoryUnusable, match=r"PostgreSQL 17, and this release brings PostgreSQL 18.*pg_dump"
    ):
        await server.start()
    version.write_text("18\n")
    assert one(await server.start(), "SELECT count(*) FROM kept") == 0
    await server.stop()


async def test_a_directory_with_other_files_is_never_taken_for_an_empty_one(directory: Path) -> None:
    (directory / "cluster").mkdir(parents=True)
    (directory / "cluster" / "precious").write_text("data")
    with pytest.raises(DataDirectoryUnusable, match="holds files but no PostgreSQL database"):
        await EmbeddedPostgres(directory).start()
    assert (directory / "cluster" / "precious").read_text() == "data"


async def test_a_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryUnusable, match=r"set data.directory"):
        await EmbeddedPostgres(tmp_path / "file").start()


async def test_what_postgres_says_when_it_cannot_start_is_told(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    await server.start()
    await server.stop()
    (directory / "cluster" / "global" / "pg_control").rename(directory / "pg_control")
    with pytest.raises(DatabaseDidNotStart, match="pg_control"):
        await server.start()
    (directory / "pg_control").rename(directory / "cluster" / "global" / "pg_control")
    assert one(await server.start(), "SELECT 1") == 1
    await server.stop()


async def test_missing_programs_are_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "MAJOR", "99")
    with pytest.raises(DatabaseDidNotStart, match=r"PostgreSQL 99 are not installed.*database.url"):
        await EmbeddedPostgres(directory).start()


async def test_a_server_that_was_started_by_hand_is_left_alone(directory: Path, tmp_path: Path) -> None:
    server = EmbeddedPostgres(directory)
    await server.start()
    await server.stop()
    cluster, account = directory / "cluster", account_for(directory / "cluster")
    programs = Programs(binaries.binaries_for(account), account)
    with (tmp_path / "lock").open("w") as lock, (tmp_path / "log").open("wb") as log:
        by_hand = programs.start(
            "postgres",
            *("-D", programs.location(cluster), "-c", "listen_addresses=", "-k", "."),
            cluster=cluster,
            server_lock=lock.fileno(),
            output=log.fileno(),
        )
        pid_file = cluster / "postmaster.pid"
        eventually(lambda: pid_file.exists() and "ready" in pid_file.read_text(), "it runs")
        with pytest.raises(DataDirectoryInUse, match=f"process {by_hand.pid}"):
            await server.start()
        assert pid_file.read_text().startswith(str(by_hand.pid))
        by_hand.terminate()
        by_hand.wait()
    assert one(await server.start(), "SELECT 1") == 1
    await server.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@root_only
async def test_a_disk_that_is_too_small_for_a_new_database_is_told(small_disk: Path) -> None:
    server = EmbeddedPostgres(small_disk / "data")
    with pytest.raises(DatabaseDidNotStart, match=r"is full\. Make room"):
        await server.start()
    assert not (small_disk / "data" / "cluster").exists()
    assert not (small_disk / "data" / "cluster.new").exists()
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert one(await server.start(), "SELECT 1") == 1
    await server.stop()


@root_only
async def test_a_disk_that_is_full_at_a_later_start_costs_no_data(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    server = EmbeddedPostgres(small_disk / "data")
    execute(await server.start(), "CREATE TABLE kept ()")
    await server.stop()
    filler = small_disk / "filler"
    with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
        _fill(file)
    with pytest.raises(DatabaseDidNotStart, match=r"is full\. Make room"):
        await server.start()
    filler.unlink()
    assert one(await server.start(), "SELECT count(*) FROM kept") == 0
    await server.stop()


def _fill(file: BinaryIO) -> None:
    while True:
        file.write(bytes(1 << 16))
        file.flush()


@root_only
async def test_a_read_only_disk_is_told(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DataDirectoryUnusable, match="Read-only file system"):
        await EmbeddedPostgres(small_disk / "data").start()


def test_a_copy_of_the_data_is_a_database_of_its_own(directory: Path, tmp_path: Path) -> None:
    """Its locks and its pid file were copied too."""
    with keeping(directory) as first:
        execute(first.url, "CREATE TABLE kept ()")
        first.process.terminate()
        first.process.wait()
    shutil.copytree(directory, tmp_path / "copy", ignore=shutil.ignore_patterns(".s.*"))
    if os.geteuid() == 0:
        facts = (directory / "cluster").stat()
        subprocess.run(
            ["chown", "-R", f"{facts.st_uid}:{facts.st_gid}", str(tmp_path / "copy" / "cluster")], check=True
        )
    with keeping(directory), keeping(tmp_path / "copy") as second:
        assert one(second.url, "SELECT count(*) FROM kept") == 0

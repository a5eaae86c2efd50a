"""What it cannot do it says in a sentence that names the cure, and leaves everything as it was."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.embedded import binaries
from adapters.embedded.account import account_for
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.embedded.programs import Programs
from domain.errors import DatabaseDidNotStart, DataDirectoryInUse, DataDirectoryUnusable
from tests.integration.embedded.keeping import accepts, eventually, execute, keeping, one, postmaster
from tests.small_disk import filled, give_room, small_disk


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
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16):
        yield tmp_path / "disk"


async def test_a_disk_that_is_too_small_for_a_new_database_is_told(small: Path) -> None:
    server = EmbeddedPostgres(small / "data")
    with pytest.raises(DatabaseDidNotStart, match=r"is full\. Make room"):
        await server.start()
    assert not (small / "data" / "cluster").exists()
    assert not (small / "data" / "cluster.new").exists()
    give_room(small, "size=200m")
    assert one(await server.start(), "SELECT 1") == 1
    await server.stop()


async def test_a_disk_that_is_full_at_a_later_start_costs_no_data(small: Path) -> None:
    give_room(small, "size=200m")
    server = EmbeddedPostgres(small / "data")
    execute(await server.start(), "CREATE TABLE kept ()")
    await server.stop()
    with filled(small), pytest.raises(DatabaseDidNotStart, match=r"is full\. Make room"):
        await server.start()
    assert one(await server.start(), "SELECT count(*) FROM kept") == 0
    await server.stop()


async def test_a_disk_that_fills_up_meanwhile_is_told_once_however_often_it_is_tried(small: Path) -> None:
    """And then it starts by itself."""
    give_room(small, "size=200m")
    told: list[Any] = []
    server = EmbeddedPostgres(small / "data", lambda event, **facts: told.append({"event": event, **facts}))
    url = await server.start()
    with filled(small):
        with (small / "data" / "postgres.log").open("ab") as log:  # the last page has room for a reason
            log.write(bytes(-log.tell() % os.sysconf("SC_PAGE_SIZE")))
        postmaster(small / "data").kill()
        for _ in range(4):
            before = pid_of(server)
            eventually(lambda: pid_of(server) != before, "the next try")  # noqa: B023 - called at once
    eventually(lambda: accepts(url), "it accepts connections again")
    assert [fact["exit_status"] for fact in told] == [-signal.SIGKILL, 1]
    assert "is full" in told[1]["reason"]
    await server.stop()


def pid_of(server: EmbeddedPostgres) -> int:
    assert server._postmaster is not None
    assert server._postmaster._process is not None
    return server._postmaster._process.pid


async def test_a_read_only_disk_is_told(small: Path) -> None:
    give_room(small, "ro")
    with pytest.raises(DataDirectoryUnusable, match="Read-only file system"):
        await EmbeddedPostgres(small / "data").start()


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

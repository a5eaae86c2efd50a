# ruff: noqa: ASYNC240 - a test waits for what it starts, and nothing else runs meanwhile
import asyncio
import stat
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.embedded.postgres import EmbeddedPostgres, attach
from adapters.embedded.server_log import LARGEST
from domain.errors import DatabaseDidNotStart
from tests.integration.embedded.keeping import accepts, execute, one, postmaster, sockets, superuser_url


async def test_a_database_is_made_and_is_there_again_after_a_stop(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    began = time.monotonic()
    execute(await server.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    assert time.monotonic() - began < 30
    await server.stop()
    began = time.monotonic()
    url = await server.start()
    assert time.monotonic() - began < 30
    assert one(url, "SELECT answer FROM kept") == 42
    await server.stop()


async def test_a_second_stop_and_a_stop_without_a_start_do_nothing(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    await server.stop()
    url = await server.start()
    await server.stop()
    await server.stop()
    assert not accepts(url)
    with pytest.raises(DatabaseDidNotStart):
        _ = server.url


async def test_a_second_start_answers_the_same_url(server: EmbeddedPostgres) -> None:
    assert await server.start() == server.url


async def test_a_stop_closes_the_connections_that_are_open(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    with psycopg.connect(await server.start()) as connection:
        connection.execute("SELECT 1")
        await server.stop()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


async def test_a_stop_right_after_a_start_was_cancelled_leaves_nothing_running(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    starting = asyncio.create_task(server.start())
    await asyncio.sleep(0)
    starting.cancel()
    await server.stop()
    assert not (directory / "cluster" / "postmaster.pid").exists()
    again = EmbeddedPostgres(directory)
    assert accepts(await again.start())
    await again.stop()


async def test_the_loop_goes_on_while_a_database_is_made(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    starting = asyncio.create_task(server.start())
    turns = 0
    while not starting.done():
        await asyncio.sleep(0.01)
        turns += 1
    await server.stop()
    assert turns > 5


async def test_sqlalchemy_reaches_it_by_the_same_url(server: EmbeddedPostgres) -> None:
    engine = create_async_engine(server.url.replace("postgresql://", "postgresql+psycopg://"))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT current_database()"))).scalar_one() == "etl"
    await engine.dispose()


async def test_the_settings_of_the_users_environment_change_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGDATABASE": "x", "PGUSER": "x", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    server = EmbeddedPostgres(directory)
    assert one(await server.start(), "SELECT current_user || current_database()") == "etletl"
    await server.stop()


async def test_it_is_durable_and_small_whatever_the_configuration_file_says(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    await server.start()
    execute(superuser_url(directory, server.url), "ALTER SYSTEM SET fsync = off")
    await server.stop()
    url = await server.start()
    wanted = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "jit": "off",
        "max_connections": "100",
        "autovacuum_naptime": "10s",
        "server_encoding": "UTF8",
        "data_checksums": "on",
    }
    assert {name: one(url, f"SHOW {name}") for name in wanted} == wanted
    await server.stop()


async def test_a_path_with_a_comma_and_one_too_long_for_a_socket_work(tmp_path: Path) -> None:
    for directory in (tmp_path / "a, b", tmp_path / ("long" * 40)):
        server = EmbeddedPostgres(directory)
        url = await server.start()
        assert one(url, "SELECT 1") == 1
        private = sockets(url)
        assert not private.is_relative_to(tmp_path)
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert attach(directory) == url
        await server.stop()
        assert not private.exists()


async def test_a_moved_directory_is_found_where_it_is_now(directory: Path, tmp_path: Path) -> None:
    server = EmbeddedPostgres(directory)
    execute(await server.start(), "CREATE TABLE moved ()")
    await server.stop()
    directory.rename(tmp_path / "elsewhere")
    server = EmbeddedPostgres(tmp_path / "elsewhere")
    assert one(await server.start(), "SELECT count(*) FROM moved") == 0
    await server.stop()


async def test_lost_password_files_are_written_anew(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    execute(await server.start(), "CREATE TABLE kept ()")
    await server.stop()
    for file in directory.glob("*.password"):
        file.unlink()
    url = await server.start()
    assert one(url, "SELECT count(*) FROM kept") == 0
    assert one(superuser_url(directory, url), "SELECT current_user") == "postgres"
    await server.stop()


async def test_its_log_stays_bounded_and_keeps_one_earlier_part(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    await server.start()
    await server.stop()
    log = directory / "postgres.log"
    with log.open("ab") as file:
        file.truncate(LARGEST + 1)
    await server.start()
    assert log.stat().st_size < LARGEST
    assert "ready to accept connections" in log.read_text()
    assert (directory / "postgres.log.1").stat().st_size == LARGEST + 1
    await server.stop()


async def test_attach_finds_the_database_only_while_it_is_kept(directory: Path) -> None:
    assert attach(directory) is None
    server = EmbeddedPostgres(directory)
    url = await server.start()
    assert attach(directory) == url
    await server.stop()
    assert attach(directory) is None


async def test_nothing_of_it_listens_on_the_network(server: EmbeddedPostgres, directory: Path) -> None:
    assert one(server.url, "SHOW listen_addresses") == ""
    family = [postmaster(directory), *postmaster(directory).children(recursive=True)]
    assert [c for process in family for c in inet_connections(process)] == []


def inet_connections(process: psutil.Process) -> list[object]:
    try:
        return list(process.net_connections(kind="inet"))
    except psutil.NoSuchProcess:  # one that tidies tables, and has done so
        return []

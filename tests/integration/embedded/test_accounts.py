"""Who may do what: root, the user that PostgreSQL runs as, the application's role, and everybody else."""
# ruff: noqa: ASYNC240 - a test waits for what it starts, and nothing else runs meanwhile

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from adapters.embedded.account import Account, account_for
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.embedded.sockets import socket_directory
from domain.errors import DataDirectoryUnusable
from tests.integration.embedded.keeping import (
    eventually,
    execute,
    gone,
    keeping,
    one,
    postmaster,
    sockets,
    superuser_url,
)

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
PROBE = "import psycopg, psutil, subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
READS_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_applications_role_owns_its_database_and_is_no_superuser(server: EmbeddedPostgres) -> None:
    assert one(server.url, "SELECT current_user || current_database()") == "etletl"
    question = "SELECT NOT (rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls) FROM pg_roles"
    assert one(server.url, f"{question} WHERE rolname = current_user")
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'etl'"
    assert one(server.url, owner) == "etl"
    execute(server.url, "CREATE SCHEMA own")


async def test_the_applications_role_can_run_no_program_and_read_no_file(server: EmbeddedPostgres) -> None:
    execute(server.url, "CREATE TABLE output (line text)")
    for statement in (
        "COPY output FROM PROGRAM 'id'",
        "COPY output TO PROGRAM 'cat'",
        "COPY output FROM '/etc/passwd'",
        "SET ROLE postgres",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(server.url, statement)


async def test_no_role_comes_in_without_its_password(server: EmbeddedPostgres, directory: Path) -> None:
    password = (directory / "etl.password").read_text()
    for wrong in (
        server.url.replace(password, "wrong"),
        server.url.replace(f"etl:{password}@/etl", "postgres:x@/etl"),
    ):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            one(wrong, "SELECT 1")
    stored = one(
        superuser_url(directory, server.url),
        "SELECT bool_and(rolpassword LIKE 'SCRAM%') FROM pg_authid WHERE rolcanlogin",
    )
    assert stored


async def test_files_and_directories_are_private(server: EmbeddedPostgres, directory: Path) -> None:
    assert server.url
    assert _mode(directory) == 0o700
    assert _mode(directory / "cluster") == 0o700
    for name in ("etl.password", "postgres.password", "url", "postgres.log", "owner.lock"):
        assert _mode(directory / name) == 0o600, name


@root_only
async def test_root_runs_it_as_another_user_and_leaves_the_parents_as_they_are(
    server: EmbeddedPostgres, directory: Path
) -> None:
    assert server.url
    assert _mode(directory.parents[1]) == 0o700
    assert (directory.parents[1].stat().st_uid, directory.stat().st_uid) == (0, 0)
    process = postmaster(directory)
    assert 0 not in (*process.uids(), *process.gids())
    assert (
        "0" not in Path(f"/proc/{process.pid}/status").read_text().split("Groups:")[1].split("\n")[0].split()
    )
    assert process.username() in ("postgres", "nobody")


@root_only
async def test_another_user_cannot_connect_even_with_the_password(open_directory: Path) -> None:
    server = EmbeddedPostgres(open_directory / "data")
    url = await server.start()
    socket = open_directory / "data" / "cluster" / ".s.PGSQL.5432"
    assert socket.is_socket()
    assert _answers_as_another_user(socket) == "PermissionError"
    assert one(url, "SELECT 1") == 1
    await server.stop()


@root_only
async def test_another_user_cannot_connect_to_the_socket_of_a_long_path(open_directory: Path) -> None:
    server = EmbeddedPostgres(open_directory / ("long" * 40))
    url = await server.start()
    assert _answers_as_another_user(sockets(url) / ".s.PGSQL.5432") == "PermissionError"
    await server.stop()


@root_only
async def test_root_runs_a_plain_users_database_as_that_user_who_can_go_on_with_it(
    plain_user: list[str], open_directory: Path
) -> None:
    data = open_directory / "of nobody"
    data.mkdir()
    os.chown(data, 65534, 65534)
    with keeping(data, plain_user) as keeper:
        execute(keeper.url, "CREATE TABLE kept ()")
    server = EmbeddedPostgres(data)
    assert one(await server.start(), "SELECT count(*) FROM kept") == 0
    assert postmaster(data).uids().real == 65534
    await server.stop()
    with keeping(data, plain_user) as keeper:
        assert one(keeper.url, "SELECT count(*) FROM kept") == 0


@pytest.fixture
def plain_user() -> list[str]:
    """Starts a program as a user without rights; it may read all where Python lies in root's home."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not installed")
    for command in (NOBODY, (*NOBODY, *READS_ALL)):
        probe = [
            *command,
            sys.executable,
            "-c",
            PROBE,
        ]
        if subprocess.run(probe, capture_output=True, check=False, cwd="/").returncode == 0:
            return list(command)
    pytest.skip("a plain user cannot run this Python")


@pytest.fixture
def plain_directory(open_directory: Path) -> Path:
    home = open_directory / "home of nobody"
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    return home / "data"


@root_only
def test_a_plain_user_keeps_a_database_through_crashes(plain_user: list[str], plain_directory: Path) -> None:
    with keeping(plain_directory, plain_user) as keeper:
        execute(keeper.url, "CREATE TABLE kept ()")
        orphan = postmaster(plain_directory)
        assert {*orphan.uids()} == {65534}
        keeper.process.kill()
        eventually(lambda: gone(orphan), "PostgreSQL has gone")
    with keeping(plain_directory, plain_user) as keeper:
        assert one(keeper.url, "SELECT count(*) FROM kept") == 0
        postmaster(plain_directory).kill()
        eventually(lambda: _has(keeper.url, "kept"), "it is back with its table")


@root_only
def test_a_plain_user_is_told_of_a_directory_that_it_may_not_write(
    plain_user: list[str], open_directory: Path
) -> None:
    with keeping(open_directory / "data", plain_user) as keeper:
        assert keeper.told["error"] == "DataDirectoryUnusable"
        assert "Permission denied" in keeper.told["detail"]
    assert list(open_directory.iterdir()) == []


@root_only
def test_a_user_without_a_name_is_told_how_to_get_one(plain_user: list[str], open_directory: Path) -> None:
    home = open_directory / "home"
    home.mkdir()
    os.chown(home, 54321, 54321)
    nameless = [part.replace("65534", "54321") for part in plain_user]
    with keeping(home / "data", nameless) as keeper:
        assert "User id 54321 has no name" in keeper.told["detail"]


@root_only
def test_root_without_a_user_postgres_falls_back_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = pwd.getpwnam

    def without_postgres(name: str) -> pwd.struct_passwd:
        return known("no such user" if name == "postgres" else name)

    monkeypatch.setattr(pwd, "getpwnam", without_postgres)
    nobody = known("nobody")
    assert account_for(tmp_path / "none") == Account(nobody.pw_uid, nobody.pw_gid)


@root_only
@pytest.mark.parametrize("kind", ["directory", "link"])
async def test_a_socket_directory_that_somebody_else_put_there_is_not_used(
    kind: str, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(open_directory))
    cluster, account = Path("/long" * 40), Account(12345, 12345)
    planted = socket_directory(cluster, account).path
    planted.rmdir()
    if kind == "link":
        planted.symlink_to("/")
    else:
        planted.mkdir()
        os.chown(planted, 54321, 54321)
    before = Path("/").stat()
    with pytest.raises(DataDirectoryUnusable, match="belongs to somebody else"):
        socket_directory(cluster, account)
    assert (Path("/").stat().st_mode, Path("/").stat().st_uid) == (before.st_mode, before.st_uid)


@root_only
async def test_a_plain_user_cannot_use_the_directory_of_root(
    server: EmbeddedPostgres, directory: Path, plain_user: list[str]
) -> None:
    assert server.url
    directory.parents[1].chmod(0o755)
    with keeping(directory, plain_user) as keeper:
        assert keeper.told["error"] == "DataDirectoryUnusable"


def _answers_as_another_user(socket: Path) -> str:
    """What connect(2) says to user 54321: no program is started, so nothing but the socket matters."""
    script = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(54321); os.setuid(54321)\n"
        "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1]); print('connected')\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(socket)], capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def _has(url: str, table: str) -> bool:
    try:
        return bool(one(url, f"SELECT to_regclass('{table}') IS NOT NULL"))
    except psycopg.OperationalError:
        return False

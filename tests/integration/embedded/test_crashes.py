"""What is left by kill -9 of us, of PostgreSQL, and of both."""
# ruff: noqa: ASYNC220 - a test waits for what it starts, and nothing else runs meanwhile

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from adapters.embedded.postgres import EmbeddedPostgres, attach
from tests.integration.embedded.keeping import (
    accepts,
    eventually,
    execute,
    gone,
    keeping,
    one,
    postmaster,
    sockets,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")


@linux_only
def test_postgres_shuts_down_by_itself_when_its_owner_is_killed(directory: Path) -> None:
    with keeping(directory) as keeper:
        execute(keeper.url, "CREATE TABLE kept ()")
        orphan = postmaster(directory)
        keeper.process.kill()
        eventually(lambda: gone(orphan), "PostgreSQL has gone")
        assert attach(directory) is None
    assert "received fast shutdown request" in (directory / "postgres.log").read_text()
    with keeping(directory) as keeper:
        assert one(keeper.url, "SELECT count(*) FROM kept") == 0


async def test_an_owner_that_is_killed_is_replaced_at_once(directory: Path) -> None:
    """As a service manager does it: the successor finds PostgreSQL still shutting down."""
    server = EmbeddedPostgres(directory)
    for round_ in range(3):
        with keeping(directory) as keeper:
            execute(keeper.url, f"CREATE TABLE kept_{round_} AS SELECT {round_}")
            keeper.process.kill()
            assert one(await server.start(), f"TABLE kept_{round_}") == round_
            await server.stop()


async def test_an_orphan_that_does_not_notice_is_stopped_by_the_next_start(directory: Path) -> None:
    """A stopped postmaster cannot act on the parent-death signal; nor has macOS one."""
    with keeping(directory) as keeper:
        execute(keeper.url, "CREATE TABLE kept ()")
        orphan = postmaster(directory)
        orphan.suspend()
        keeper.process.kill()
        keeper.process.wait()
        server = EmbeddedPostgres(directory)
        resumed = threading.Timer(0.5, orphan.resume)
        resumed.start()
        assert one(await server.start(), "SELECT count(*) FROM kept") == 0
        resumed.join()
        assert postmaster(directory) != orphan
        assert gone(orphan)
        await server.stop()


async def test_a_postmaster_that_is_killed_is_started_again_with_its_data(directory: Path) -> None:
    notices: list[tuple[str, dict[str, Any]]] = []
    heard = threading.Event()

    def notice(event: str, **facts: Any) -> None:
        notices.append((event, facts))
        heard.set()

    server = EmbeddedPostgres(directory, notice)
    url = await server.start()
    execute(url, "CREATE TABLE kept AS SELECT generate_series(1, 1000)")
    for _ in range(2):
        dead = postmaster(directory)
        dead.kill()
        assert heard.wait(30)
        heard.clear()
        eventually(lambda: accepts(url), "it accepts connections again")
        assert one(url, "SELECT count(*) FROM kept") == 1000
        assert attach(directory) == url
    assert [event for event, _ in notices] == ["postgres.died"] * 2
    assert notices[0][1]["exit_status"] == -signal.SIGKILL
    assert notices[0][1]["restart_in_seconds"] < notices[1][1]["restart_in_seconds"]
    await server.stop()
    assert not accepts(url)


async def test_a_listener_that_fails_does_not_cost_the_database(directory: Path) -> None:
    def notice(event: str, **_facts: Any) -> None:
        raise RuntimeError(event)

    server = EmbeddedPostgres(directory, notice)
    url = await server.start()
    postmaster(directory).kill()
    eventually(lambda: accepts(url), "it accepts connections again")
    await server.stop()


async def test_a_backend_that_computes_on_does_not_hold_up_the_restart(
    server: EmbeddedPostgres, directory: Path
) -> None:
    """It would notice the death only when its query ends, and PostgreSQL will not start beside it."""
    with closing(psycopg.connect(server.url)) as connection:
        backend = connection.info.backend_pid
        busy = threading.Thread(
            target=_ignoring_the_end,
            args=(connection, "SELECT count(*) FROM generate_series(1, 1000000000) AS a(n) WHERE n % 7 = 8"),
        )
        busy.start()
        eventually(lambda: _is_active(server.url, backend), "the query runs")
        postmaster(directory).kill()
        eventually(lambda: accepts(server.url), "it accepts connections again")
        busy.join(30)
        assert not busy.is_alive()


async def test_a_kill_of_everything_at_once_loses_nothing_committed(directory: Path) -> None:
    with keeping(directory) as keeper:
        execute(keeper.url, "CREATE TABLE kept AS SELECT generate_series(1, 1000)")
        family = [postmaster(directory), *postmaster(directory).children(recursive=True)]
        os.kill(keeper.process.pid, signal.SIGSTOP)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        keeper.process.kill()
    assert (directory / "cluster" / "postmaster.pid").exists()
    assert (directory / "cluster" / "postmaster.pid").read_text().startswith(str(family[0].pid))
    server = EmbeddedPostgres(directory)
    assert one(await server.start(), "SELECT count(*) FROM kept") == 1000
    await server.stop()


@pytest.mark.parametrize("kind", ["another program", "zombie"])
async def test_a_pid_file_that_names_a_live_process_of_others_does_not_stop_the_start(
    directory: Path, kind: str
) -> None:
    """A reused pid is the rule in a container: there PostgreSQL has the same small number each time."""
    server = EmbeddedPostgres(directory)
    socket_locks = await _crashed(server, directory)
    program = "read _" if kind == "another program" else "exit 0"
    owner = (directory / "cluster").stat().st_uid  # PostgreSQL takes a process of another user for dead
    with subprocess.Popen(["sh", "-c", program], stdin=subprocess.PIPE, user=owner, cwd="/") as other:
        _rewrite_pid(directory / "cluster" / "postmaster.pid", other.pid)
        for lock in socket_locks:
            _rewrite_pid(lock, other.pid)
        if kind == "zombie":
            eventually(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE, "a zombie")
        assert one(await server.start(), "SELECT count(*) FROM kept") == 0
        await server.stop()
        assert psutil.pid_exists(other.pid)


@pytest.mark.parametrize("content", ["", "not a pid\n"])
async def test_a_pid_file_that_a_power_cut_left_empty_does_not_stop_the_start(
    directory: Path, content: str
) -> None:
    server = EmbeddedPostgres(directory)
    await _crashed(server, directory)
    (directory / "cluster" / "postmaster.pid").write_text(content)
    assert one(await server.start(), "SELECT count(*) FROM kept") == 0
    await server.stop()


def test_an_initdb_that_was_killed_half_way_is_done_again(directory: Path) -> None:
    keeper = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("keeper.py")), str(directory)], stdout=subprocess.PIPE
    )
    aside = directory / "cluster.new"
    eventually((aside / "PG_VERSION").exists, "initdb is at work")
    keeper.kill()
    keeper.communicate()
    assert aside.exists()
    assert not (directory / "cluster").exists()
    with keeping(directory) as successor:
        assert one(successor.url, "SELECT 1") == 1
        assert not aside.exists()


async def _crashed(server: EmbeddedPostgres, directory: Path) -> list[Path]:
    """Leaves the files of a postmaster that had no time to remove them; answers its socket's locks."""
    execute(await server.start(), "CREATE TABLE kept ()")
    paths = (directory / "cluster" / "postmaster.pid", sockets(server.url) / ".s.PGSQL.5432.lock")
    files = {path: path.read_text() for path in paths}
    await server.stop()
    for path, content in files.items():
        path.write_text(content)
    return [path for path in files if path.suffix == ".lock"]


def _rewrite_pid(path: Path, pid: int) -> None:
    path.write_text("\n".join([str(pid), *path.read_text().split("\n")[1:]]))


def _ignoring_the_end(connection: psycopg.Connection[Any], question: str) -> None:
    try:
        connection.execute(question.encode())
    except psycopg.OperationalError:
        return


def _is_active(url: str, pid: int) -> bool:
    return str(one(url, f"SELECT state FROM pg_stat_get_activity({pid})")) == "active"  # noqa: S608 - a number

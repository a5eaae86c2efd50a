"""A database that forgets is refused at the start, with a sentence; a forgetful moment is warned of."""

import psycopg
import pytest

from adapters.postgres.durability import require_durable
from domain.errors import DatabaseNotDurable, DatabaseUnavailable
from tests.e2e.installation import Installation
from tests.embedded_server import Server
from tests.faults.node import Place


def turn_off(server: Server, *names: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"ALTER SYSTEM SET {name} = off")
    server.kill()
    server.start()


@pytest.mark.parametrize("command", ["serve", "api", "worker"])
def test_f03_a_database_without_fsync_or_whole_pages_is_refused_with_status_2(
    place: Place, server: Server, command: str
) -> None:
    """F03: nothing is accepted, and nothing in it is changed."""
    turn_off(server, "fsync", "full_page_writes")
    installation = Installation(place.directory)
    done = installation.etl(command, f"--database.url={server.url}", "--http.port=0")
    assert done.returncode == 2, done.stderr.decode()
    told = done.stderr.decode().strip()
    assert told.startswith("etl: The database runs with fsync = off and full_page_writes = off"), told
    assert "\n" not in told


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
async def test_f03_either_of_the_two_is_enough_to_be_refused(server: Server, name: str) -> None:
    """F03: the sentence names the one that is off."""
    assert await require_durable(server.url) == ()
    turn_off(server, name)
    with pytest.raises(DatabaseNotDurable, match=f"with {name} = off:"):
        await require_durable(server.url)


def test_f03_synchronous_commit_off_is_warned_of_and_works(place: Place, server: Server) -> None:
    """F03: the loss is bounded, so the operator decides."""
    turn_off(server, "synchronous_commit")
    installation = Installation(place.directory, [f"--database.url={server.url}"])
    try:
        installation.serve()
        script = installation.script("hello.sh", "echo hello\n")
        assert installation.ended(installation.submit(script=script))["state"] == "succeeded"
    finally:
        installation.stop()
    assert "synchronous_commit is off" in (place.directory / "serve.log").read_text()


async def test_f03_a_server_that_is_away_is_told_as_such(place: Place) -> None:
    """F03 does not hide what is simply not there."""
    with pytest.raises(DatabaseUnavailable):
        await require_durable(f"postgresql://etl@/postgres?host={place.directory}")

"""What makes a process not ready, each made to happen: every other check goes on saying ok."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from adapters.memory.disk_space import MemoryDiskSpace
from adapters.postgres.engine import Database
from application.check_health import CheckHealth
from application.held_attempts import HeldAttempts
from application.require_disk_space import RequireDiskSpace
from entrypoints.container.machine import ready_checks
from entrypoints.settings import Settings
from entrypoints.settings.schema import Data, Scripts
from tests.builders import CHANCE, TERMS
from tests.fakes.clock import FakeClock

NAMES = {"database", "migrations", "disk", "logs", "scripts", "renewals"}


@dataclass
class Place:
    settings: Settings
    database: Database
    disk: MemoryDiskSpace
    held: HeldAttempts
    clock: FakeClock

    async def wrong(self) -> dict[str, str]:
        checks = ready_checks(
            self.settings, self.database, RequireDiskSpace(self.disk, 1000), self.held, self.clock
        )
        said = await CheckHealth(checks)()
        assert set(said) == NAMES
        return {name: what for name, what in said.items() if what != "ok"}


@pytest.fixture
async def place(tmp_path: Path, database_url: str) -> AsyncIterator[Place]:
    settings = Settings(data=Data(directory=tmp_path), scripts=Scripts(directory=tmp_path / "scripts"))
    for directory in (settings.logs_directory, settings.scripts.directory):
        directory.mkdir()
    database = Database(database_url, pool_size=2, pool_seconds=0.5, answer_seconds=2.0)
    yield Place(settings, database, MemoryDiskSpace(), HeldAttempts(2, TERMS), FakeClock())
    await database.close()


async def test_all_is_well_with_and_without_a_worker(place: Place) -> None:
    assert await place.wrong() == {}
    place.held.session_id, place.held.renewed_at = CHANCE.new_id(), place.clock.elapsed()
    assert await place.wrong() == {}


async def test_a_lease_of_which_half_is_gone_is_told(place: Place) -> None:
    place.held.session_id, place.held.renewed_at = CHANCE.new_id(), place.clock.elapsed()
    place.clock.advance(TERMS.seconds / 2)
    assert await place.wrong() == {}
    place.clock.advance(1)
    wrong = await place.wrong()
    assert set(wrong) == {"renewals"}
    assert "31 s ago" in wrong["renewals"]


@pytest.mark.parametrize(
    "statement", ["UPDATE etl.alembic_version SET version_num = '0001'", "DROP TABLE etl.alembic_version"]
)
async def test_a_schema_that_is_behind_is_told_with_its_cure(
    place: Place, database_url: str, statement: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement)
    wrong = await place.wrong()
    assert set(wrong) == {"migrations"}
    assert "run `etl migrate`" in wrong["migrations"]


async def test_a_schema_of_a_later_release_is_no_reason(place: Place, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE etl.alembic_version SET version_num = '9999'")
    assert await place.wrong() == {}


async def test_a_disk_below_the_floor_is_told(place: Place) -> None:
    place.disk.free = 999
    assert set(await place.wrong()) == {"disk"}


@pytest.mark.parametrize("name", ["logs", "scripts"])
async def test_a_directory_that_has_gone_is_told(place: Place, name: str) -> None:
    directory = place.settings.logs_directory if name == "logs" else place.settings.scripts.directory
    directory.rmdir()
    assert await place.wrong() == {name: f"`{name}.directory` is no directory."}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_log_directory_that_cannot_be_written_is_told(place: Place) -> None:
    place.settings.logs_directory.chmod(0o500)
    assert await place.wrong() == {"logs": "`logs.directory` cannot be written."}


async def test_a_database_that_is_away_is_told_and_the_rest_goes_on(place: Place) -> None:
    place.database = Database("host=/nonexistent dbname=none", pool_seconds=0.5)
    assert set(await place.wrong()) == {"database", "migrations"}

"""The schema comes up to date whoever asks, however many at once, and never by guessing."""

import asyncio
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from adapters.postgres import migrate as migrating
from adapters.postgres.migrate import known_revisions, migrate, pending
from domain.errors import DatabaseUnavailable

SOURCES = Path(__file__).parents[3] / "src"
MIGRATE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from adapters.postgres.migrate import migrate
sys.stdin.readline()
print(len(asyncio.run(migrate(sys.argv[2]))))
"""


async def test_processes_that_race_on_an_empty_database_do_no_harm(empty_database_url: str) -> None:
    racers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", MIGRATE, str(SOURCES), empty_database_url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]
    answers = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    assert [racer.returncode for racer in racers] == [0] * 4, answers
    assert sum(int(out) > 0 for out, _ in answers) == 1
    assert await pending(empty_database_url) == []


async def test_pending_names_what_is_missing_and_changes_nothing(empty_database_url: str) -> None:
    missing = await pending(empty_database_url)
    assert missing
    assert await pending(empty_database_url) == missing
    assert await migrate(empty_database_url) == missing
    assert await migrate(empty_database_url) == []


async def test_a_server_that_is_away_is_told_in_our_words(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate(f"postgresql://etl@/postgres?host={tmp_path}")


def test_the_files_are_named_as_the_migrations_follow_each_other() -> None:
    """So a start need not read them: a file that is named otherwise would never be missed."""
    directory = ScriptDirectory(str(Path(migrating.__file__).parent / "migrations"))
    assert known_revisions() == [script.revision for script in directory.walk_revisions()][::-1]

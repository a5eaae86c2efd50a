"""Two releases on one schema: what the release before needs stays, and who cannot work refuses to start."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.postgres.migrate import PREVIOUS_RELEASE, known_revisions, migrate, pending
from domain.errors import WrongSetting
from tests.builders import a_job, report_of
from tests.contract.kernels import join, start_one, submit
from tests.contract.postgres_kernel import postgres_kernel

ETL = Path(__file__).parents[3] / "src/entrypoints/cli/__main__.py"
COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    a.atthasdef OR a.attidentity <> ''
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace('etl') AND c.relkind IN ('r', 'p')
"""
FUNCTIONS = """
SELECT proname, pg_get_function_arguments(oid), pg_get_function_result(oid)
FROM pg_proc WHERE pronamespace = to_regnamespace('etl')
"""
RULES = """
SELECT c.relname, pg_get_constraintdef(r.oid) FROM pg_constraint r JOIN pg_class c ON c.oid = r.conrelid
WHERE r.connamespace = to_regnamespace('etl') AND r.contype <> 'n'
"""
UNIQUE = """
SELECT c.relname, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
WHERE c.relnamespace = to_regnamespace('etl') AND indisunique
"""
TRIGGERS = """
SELECT c.relname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = to_regnamespace('etl') AND NOT tgisinternal
"""


def rows(url: str, query: str) -> set[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(query).fetchall())


def columns(url: str) -> Mapping[tuple[str, str], tuple[str, bool, bool]]:
    """(type, is never null, has a default) by (table, column)."""
    return {
        (table, column): (kind, filled, default)
        for table, column, kind, filled, default in rows(url, COLUMNS)
    }


async def test_since_the_previous_release_the_schema_only_grew(
    empty_database_url: str, database_url: str
) -> None:
    """What fails here takes something away from programs of the release before, which go on during an
    upgrade: do it one release later. While no release is out, PREVIOUS_RELEASE may name that migration.
    """
    await migrate(empty_database_url, PREVIOUS_RELEASE)
    before, after = columns(empty_database_url), columns(database_url)
    assert {place: facts for place, facts in after.items() if place in before} == before
    tables = {table for table, _ in before}
    added = {place: facts for place, facts in after.items() if place[0] in tables and place not in before}
    assert [place for place, (_, filled, default) in added.items() if filled and not default] == []
    assert rows(empty_database_url, FUNCTIONS) <= rows(database_url, FUNCTIONS)
    for query in (RULES, UNIQUE, TRIGGERS):
        new = rows(database_url, query) - rows(empty_database_url, query)
        assert [rule for rule in new if rule[0] in tables] == []


async def test_a_program_of_the_release_before_goes_on_with_the_schema_of_the_next(database_url: str) -> None:
    """As that program sees it: a migration that it does not know, and word that it may go on."""
    ahead(database_url, f"'for programs since {known_revisions()[-1]}'")
    assert await pending(database_url) == []
    assert await migrate(database_url) == []
    async with postgres_kernel(database_url) as kernel:
        worker = await join(kernel)
        await submit(kernel, a_job())
        (after,) = await kernel.queue.report([report_of(await start_one(kernel, worker))])
        assert after.state.is_final
    assert rows(database_url, "SELECT version_num FROM etl.alembic_version") == {("9999",)}


@pytest.mark.parametrize("oldest", ["'for programs since 9998'", "'a comment of somebody else'", "NULL"])
async def test_a_program_of_two_releases_before_refuses_to_start(database_url: str, oldest: str) -> None:
    ahead(database_url, oldest)
    for refused in (pending, migrate):
        with pytest.raises(WrongSetting, match="newer than this program"):
            await refused(database_url)


def ahead(url: str, comment: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE etl.alembic_version SET version_num = '9999'")
        connection.execute(f"COMMENT ON SCHEMA etl IS {comment}")


@pytest.mark.parametrize("command", ["api", "worker"])
async def test_a_new_program_on_the_schema_of_before_says_what_to_do_and_changes_nothing(
    empty_database_url: str, tmp_path: Path, command: str
) -> None:
    """F67: it neither claims nor guesses. `etl migrate` is the first step of an upgrade."""
    before = known_revisions()[-2]
    await migrate(empty_database_url, before)
    refused = etl(tmp_path, command, empty_database_url)
    assert (refused.returncode, b"run `etl migrate`" in refused.stderr) == (1, True), refused.stderr
    assert rows(empty_database_url, "SELECT version_num FROM etl.alembic_version") == {(before,)}
    assert rows(empty_database_url, "SELECT id FROM etl.worker_session") == set()
    assert etl(tmp_path, "migrate", empty_database_url).returncode == 0
    assert await pending(empty_database_url) == []


def etl(directory: Path, command: str, url: str) -> "subprocess.CompletedProcess[bytes]":
    argv = [sys.executable, "-I", str(ETL), command, f"--database.url={url}"]
    return subprocess.run(argv, cwd=directory, capture_output=True, timeout=100, check=False)

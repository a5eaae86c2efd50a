"""Every row of ours, from one PostgreSQL into another, of whatever version that is supported.

Not by pg_dump: its archive may hold settings and syntax that an older server refuses, and names roles that
another server lacks. Here the migrations make the tables, and COPY's text fills them.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import text

from adapters.postgres import archive
from adapters.postgres.archive import Manifest, Table, Writing
from adapters.postgres.connecting import conninfo
from adapters.postgres.engine import Database
from adapters.postgres.failures import told_in_our_words
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.migrate import SCHEMA, known_revisions, migrate
from application.ports.clock import Chance
from domain.backup_errors import BackupUnusable, DatabaseNotEmpty, NothingToDump

RESCUE_BATCH: Final = 500
FENCE_STEP: Final = 10_000
"""More claims than one job had between the backup and its restore: no fence is given out twice."""

# The text of COPY depends on these; a table is read as a whole, and for as long as it takes.
_PLAIN: Final = """
SET LOCAL client_encoding = 'UTF8'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres';
SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on
"""

# Neither what a crash of the server empties (unlogged) nor what it computes itself.
_TABLES: Final = """
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relpersistence = 'p' AND a.attgenerated = '' AND c.relname <> 'alembic_version'
GROUP BY c.relname ORDER BY c.relname
"""
_COUNTED: Final = """
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = to_regnamespace(%s) AND a.attidentity <> ''
"""
_GIVE_UP: Final = """
UPDATE etl.worker_session SET state = 'dead', lease_expires_at = least(lease_expires_at, now()),
    last_lease_expires_at = least(last_lease_expires_at, now())
"""
_NEW_FENCES: Final = text("UPDATE etl.job_queue SET fence = fence + :step WHERE state <> 'running'")

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


async def dump(url: str, path: Path, release: str) -> Manifest:
    """One moment of the whole database, while it is in use. Raises NothingToDump."""
    async with _connected(url) as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await connection.execute(_PLAIN)
        revision = await _revision(connection)
        with _told_of_file(path), archive.written(path) as file:
            tables = [await _kept(connection, file, table) for table in await _tables(connection)]
            manifest = Manifest(
                revision=revision,
                release=release,
                server_version=connection.info.server_version,
                made_at=datetime.now(UTC).isoformat(timespec="seconds"),
                tables=tuple(tables),
            )
            file.finish(manifest)
            return manifest


async def restore(url: str, path: Path, chance: Chance) -> Manifest:
    """Fills a database that has nothing of ours in it; after an error it has nothing again.

    No worker of before may go on: its sessions are dead, what it ran is rescued, and fences begin anew beyond
    those that it may have. Raises BackupUnusable or DatabaseNotEmpty.
    """
    with archive.read(path) as file:
        _require_known(file.manifest, path)
        await _clear(url)
        try:
            await migrate(url, file.manifest.revision)
            await _fill(url, file)
            await migrate(url)
            await _disown(url, chance)
        except BaseException:
            await _drop(url)
            raise
        return file.manifest


# -- dump ----------------------------------------------------------------------------------------------


async def _revision(connection: Connection) -> str:
    try:
        rows = await connection.execute("SELECT version_num FROM etl.alembic_version")
    except psycopg.errors.UndefinedTable:
        raise NothingToDump("This database has nothing of ETL Orchestrator in it.") from None
    return str(_first(await rows.fetchone()))


async def _tables(connection: Connection) -> list[Table]:
    rows = await connection.execute(_TABLES, (SCHEMA,))
    return [Table(name, tuple(columns)) for name, columns in await rows.fetchall()]


async def _kept(connection: Connection, file: Writing, table: Table) -> Table:
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(_listed(table), _named(table))
    async with connection.cursor() as cursor:
        async with cursor.copy(statement) as pieces:
            await file.keep(table.name, pieces)
        return replace(table, rows=cursor.rowcount)


@contextmanager
def _told_of_file(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupUnusable(f"{path} cannot be written: {error.strerror or error}.") from error


# -- restore -------------------------------------------------------------------------------------------


def _require_known(manifest: Manifest, path: Path) -> None:
    known = known_revisions()
    if manifest.revision not in known:
        raise BackupUnusable(
            f"{path} was made by a newer release ({manifest.release}, schema {manifest.revision}): this "
            f"program knows schemas up to {known[-1]}. Restore it with that release, or a later one."
        )


async def _clear(url: str) -> None:
    """An installation that has never been used is as good as none: its schema is made anew."""
    async with _connected(url) as connection:
        await connection.execute(_PLAIN)
        for table in await _tables(connection):
            found = await connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(_named(table)))
            if _first(await found.fetchone()):
                raise DatabaseNotEmpty(
                    f"The database is in use: {SCHEMA}.{table.name} has rows. Nothing was changed. Restore "
                    "into an empty database, made with CREATE DATABASE or by a new `data.directory`."
                )
    await _drop(url)


async def _drop(url: str) -> None:
    async with _connected(url) as connection:
        await connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))


async def _fill(url: str, file: archive.Reading) -> None:
    async with _connected(url) as connection:
        await connection.execute(_PLAIN)
        for table in file.manifest.tables:
            await _put(connection, file, table)
        for name, column in await (await connection.execute(_COUNTED, (SCHEMA,))).fetchall():
            await _count_on(connection, Table(name, (column,)))
        await connection.execute(_GIVE_UP)


async def _put(connection: Connection, file: archive.Reading, table: Table) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(_named(table), _listed(table))
    async with connection.cursor() as cursor:
        with _told_of_rows(file.path, table):
            async with cursor.copy(statement) as copy:
                for piece in file.pieces(table.name):
                    await copy.write(piece)
        if cursor.rowcount != table.rows:
            raise BackupUnusable(f"{file.path} is damaged: {table.name} lacks rows.")


@contextmanager
def _told_of_rows(path: Path, table: Table) -> Iterator[None]:
    """Checksums are right, but somebody edited it."""
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
        reason = error.diag.message_primary
        raise BackupUnusable(f"{path} is damaged: {table.name}: {reason}.") from error


async def _count_on(connection: Connection, table: Table) -> None:
    (column,) = table.columns
    statement = sql.SQL(
        "SELECT setval(pg_get_serial_sequence(%s, %s), coalesce(max({}), 0) + 1, false) FROM {}"
    )
    await connection.execute(
        statement.format(sql.Identifier(column), _named(table)), (f"{SCHEMA}.{table.name}", column)
    )


async def _disown(url: str, chance: Chance) -> None:
    """What ran is given back or ends as `lost`, by its own policy and with its event, as after a crash."""
    database = Database(url)
    try:
        queue = PostgresJobQueue(database, chance)
        while await queue.rescue(RESCUE_BATCH):
            pass
        async with database.transaction() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            await connection.execute(_NEW_FENCES, {"step": FENCE_STEP})
    finally:
        await database.close()


# -- both ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    """One transaction. Without our limit on an answer: COPY takes as long as there are rows."""
    with told_in_our_words():
        async with await psycopg.AsyncConnection.connect(conninfo(url)) as connection:
            yield connection


def _named(table: Table) -> sql.Identifier:
    return sql.Identifier(SCHEMA, table.name)


def _listed(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, table.columns))


def _first(row: Sequence[Any] | None) -> Any:
    return None if row is None else row[0]

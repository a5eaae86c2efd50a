"""Brings the database's schema up to date. Plain blocking code in a thread: it runs once at a start.

Alembic is imported where there is something to migrate: it takes 9 MB, and most starts find nothing.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, NullPool, create_engine, text

from adapters.postgres.connecting import conninfo, require_utf8
from adapters.postgres.failures import told_in_our_words
from domain.errors import WrongSetting

SCHEMA: Final = "etl"
LOCK: Final = 0x65746C01
"""`etl` and 01: the advisory lock that lets one process at a time migrate."""

PREVIOUS_RELEASE: Final = "0006"
"""The last migration of the release before this one, whose programs may go on beside ours: what came after
it only adds. Until a first release is out: the last migration that took something away.
"""

IS_THERE: Final = text("SELECT to_regclass('etl.alembic_version') IS NOT NULL")
VERSION: Final = text("SELECT version_num FROM etl.alembic_version")

_FOR_PROGRAMS: Final = "for programs since "


async def migrate(url: str, up_to: str = "head") -> list[str]:
    """Applies what is missing, in one transaction each, and returns the names of what was missing.

    Any number of processes may do this at once, on an empty database too: they wait for each other.
    Raises WrongSetting if the schema is too new for this program: by more than one release.
    """
    return await asyncio.to_thread(_migrate, url, up_to)


async def pending(url: str) -> list[str]:
    """The names of the migrations that are missing, the oldest first; changes nothing."""
    return await asyncio.to_thread(_pending, url)


@cache
def known_revisions() -> list[str]:
    """The migrations of this program, the oldest first: as their files are named."""
    return sorted(path.stem[1:5] for path in (_migrations() / "versions").glob("v*.py"))


def _migrations() -> Path:
    return Path(__file__).parent / "migrations"


def _migrate(url: str, up_to: str) -> list[str]:
    with _connected(url) as connection:
        # A session lock, and taken before anything else: CREATE SCHEMA IF NOT EXISTS itself fails
        # with a duplicate key when two do it in the same instant.
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        missing = _missing(connection)
        if missing:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            connection.commit()
            _upgrade(connection, up_to)
            connection.execute(text(f"COMMENT ON SCHEMA {SCHEMA} IS '{_FOR_PROGRAMS}{PREVIOUS_RELEASE}'"))
            connection.commit()
        return missing


def _pending(url: str) -> list[str]:
    with _connected(url) as connection:
        return _missing(connection)


def _missing(connection: Connection) -> list[str]:
    current = connection.execute(VERSION).scalar() if connection.execute(IS_THERE).scalar_one() else None
    known, oldest = known_revisions(), _oldest_program(connection)
    connection.rollback()
    if current is not None and current not in known:
        if oldest in known:
            return []  # one release ahead of this program, and that one only adds
        raise WrongSetting(
            f"The database's schema ({current}) is newer than this program (at most {known[-1]}). "
            "Upgrade this program, or point `database.url` to another database."
        )
    return known if current is None else known[known.index(current) + 1 :]


def _oldest_program(connection: Connection) -> str | None:
    """The last migration of the oldest programs that may use this schema, as its migrator left word."""
    found = connection.execute(text(f"SELECT obj_description(to_regnamespace('{SCHEMA}'), 'pg_namespace')"))
    comment = found.scalar() or ""
    return comment.removeprefix(_FOR_PROGRAMS) if comment.startswith(_FOR_PROGRAMS) else None


def _upgrade(connection: Connection, up_to: str) -> None:
    from alembic import command  # noqa: PLC0415 - said above
    from alembic.config import Config  # noqa: PLC0415 - said above

    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, up_to)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    # No statement_timeout: waiting for another process's migration is no fault. lock_timeout stays,
    # set in the migrations' environment, so that a migration under load never queues behind a reader.
    options = "-c TimeZone=UTC -c statement_timeout=0 -c lock_timeout=0"
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: _connect(conninfo(url, options=options)),
        poolclass=NullPool,
    )
    with told_in_our_words(), engine.connect() as connection:
        yield connection


def _connect(info: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(info)
    try:
        require_utf8(connection.info)
    except WrongSetting:
        connection.close()
        raise
    return connection

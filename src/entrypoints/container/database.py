"""What can be done with a database from outside of the product's work: keep it, migrate it, examine it,
back it up.
"""

import os
from pathlib import Path
from typing import Final

import structlog

from adapters.embedded.postgres import EmbeddedPostgres, attach
from adapters.postgres.archive import Manifest
from adapters.postgres.backup import dump
from adapters.postgres.backup import restore as restore_backup
from adapters.postgres.clocks import seconds_ahead
from adapters.postgres.durability import require_durable
from adapters.postgres.engine import Database
from adapters.postgres.horizon import horizon_holder
from adapters.postgres.invariants import logs_expected, without_job
from adapters.postgres.invariants import look as breaches
from adapters.postgres.mending import Mending
from adapters.postgres.migrate import migrate
from adapters.postgres.migrate import pending as pending_migrations
from adapters.system.clock import SystemChance
from entrypoints.directories import NO_DIRECTORY, trouble_with
from entrypoints.settings import Settings

__all__ = [
    "breaches",
    "dump",
    "embedded_exists",
    "embedded_postgres",
    "horizon_holder",
    "logs_expected",
    "mending",
    "migrate",
    "pending_migrations",
    "require_durable",
    "restore",
    "running_embedded",
    "seconds_ahead",
    "without_job",
]

EMBEDDED: Final = "postgres"
EMBEDDED_EVENTS: Final = {"postgres.died": "postgres_died"}
"""What the embedded database tells, by the names of docs/observability.md."""


def running_embedded(data: Path) -> str | None:
    """The URL of the embedded PostgreSQL that another process of this machine keeps in `data`."""
    return attach(data / EMBEDDED)


def embedded_postgres(settings: Settings) -> EmbeddedPostgres:
    """The database that this process is to keep itself."""
    return EmbeddedPostgres(settings.data.directory / EMBEDDED, _told)


def embedded_exists(settings: Settings) -> bool:
    """Also where only another user may look into it."""
    return trouble_with(settings.data.directory / EMBEDDED / "cluster", os.R_OK) != NO_DIRECTORY


async def restore(url: str, path: Path) -> Manifest:
    """As `adapters.postgres.backup` says."""
    return await restore_backup(url, path, SystemChance())


def mending(settings: Settings, database: Database) -> Mending:
    """As the doctor, by whose name its events go."""
    return Mending(database, SystemChance(), settings.lease_terms, "doctor")


def _told(event: str, **facts: object) -> None:
    structlog.get_logger().warning(EMBEDDED_EVENTS[event], **facts)

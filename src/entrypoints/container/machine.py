"""What adapters tell of this machine and its database before there is a container."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from adapters.embedded.postgres import EmbeddedPostgres, attach
from adapters.filesystem.log_files import LogPaths
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
from adapters.postgres.schema_version import require_schema
from adapters.process.means import means_of
from adapters.process.supervisor import kernel
from adapters.process.supervisor.group import Group
from adapters.system.clock import SystemChance
from application.held_attempts import HeldAttempts
from application.ports.clock import Clock
from application.require_disk_space import RequireDiskSpace
from entrypoints.directories import NO_DIRECTORY, trouble_with
from entrypoints.health import Check, health_checks
from entrypoints.settings import Settings

__all__ = [
    "breaches",
    "containment",
    "dump",
    "embedded_exists",
    "embedded_postgres",
    "horizon_holder",
    "logged_jobs",
    "logs_expected",
    "mending",
    "migrate",
    "pending_migrations",
    "ready_checks",
    "require_durable",
    "restore",
    "run_directory",
    "running_embedded",
    "seconds_ahead",
    "without_job",
]

EMBEDDED: Final = "postgres"
EMBEDDED_EVENTS: Final = {"postgres.died": "postgres_died"}
"""What the embedded database tells, by the names of docs/observability.md."""


def containment(data: Path) -> tuple[str, bool]:
    """How process trees are held together here, in the words of an attempt's record, and whether the kernel
    limits their memory: tried out, as a worker of this user on this data directory would.
    """
    if not kernel.LINUX:
        return "best_effort", False
    means = means_of(data / "run" / "doctor", None)
    kind = None if means.groups is None else Group(str(means.groups)).kind
    means.leave()
    return kind or "subreaper", means.memory is not None


def running_embedded(data: Path) -> str | None:
    """The URL of the embedded PostgreSQL that another process of this machine keeps in `data`."""
    return attach(data / EMBEDDED)


def embedded_postgres(settings: Settings) -> EmbeddedPostgres:
    """The database that this process is to keep itself."""
    return EmbeddedPostgres(settings.data.directory / EMBEDDED, _told_of_database)


def embedded_exists(settings: Settings) -> bool:
    """Also where only another user may look into it."""
    return trouble_with(settings.data.directory / EMBEDDED / "cluster", os.R_OK) != NO_DIRECTORY


async def restore(url: str, path: Path) -> Manifest:
    """As `adapters.postgres.backup` says."""
    return await restore_backup(url, path, SystemChance())


def ready_checks(
    settings: Settings, database: Database, disk: RequireDiskSpace, held: HeldAttempts, clock: Clock
) -> Mapping[str, Check]:
    """What `/health/ready` asks."""
    return health_checks(
        ping=database.open,
        migrations=partial(require_schema, database),
        disk=disk,
        held=held,
        clock=clock,
        settings=settings,
    )


def mending(settings: Settings, database: Database) -> Mending:
    return Mending(database, SystemChance(), settings.lease_terms, "doctor")


def logged_jobs(directory: Path) -> Iterator[UUID]:
    """Whose logs lie there."""
    paths = LogPaths(directory)
    for slice_ in paths.slices():
        for job in paths.jobs(slice_):
            with suppress(ValueError):
                yield UUID(job.name)


def _told_of_database(event: str, **facts: object) -> None:
    structlog.get_logger().warning(EMBEDDED_EVENTS[event], **facts)


def run_directory(settings: Settings) -> Path:
    """Where supervisors keep what a restarted worker learns from: of this machine alone, where logs
    may lie in a directory that several machines share.
    """
    return settings.data.directory / "run"

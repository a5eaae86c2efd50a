"""What adapters tell of this machine, and where on it things lie."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import UUID

from adapters.filesystem.disk_space import FilesystemDiskSpace
from adapters.filesystem.log_paths import LogPaths
from adapters.postgres.engine import Database
from adapters.postgres.schema_version import require_schema
from adapters.process.means import means_of
from adapters.process.supervisor import kernel
from adapters.process.supervisor.group import Group
from application.held_attempts import HeldAttempts
from application.ports.clock import Clock
from application.require_disk_space import RequireDiskSpace
from entrypoints.container.database import EMBEDDED, embedded_exists
from entrypoints.health import Check, health_checks
from entrypoints.settings import Settings


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


def run_directory(settings: Settings) -> Path:
    """Where supervisors keep what a restarted worker learns from: of this machine alone, where logs
    may lie in a directory that several machines share.
    """
    return settings.data.directory / "run"


def logged_jobs(directory: Path) -> Iterator[UUID]:
    """Whose logs lie there."""
    paths = LogPaths(directory)
    for slice_ in paths.slices():
        for job in paths.jobs(slice_):
            with suppress(ValueError):
                yield UUID(job.name)


def disk_space(settings: Settings) -> FilesystemDiskSpace:
    """Of every disk that an attempt needs: an embedded database may lie on one of its own."""
    places = [settings.logs_directory, settings.data.directory]
    if settings.database.url is None and embedded_exists(settings):
        places.append(settings.data.directory / EMBEDDED)
    return FilesystemDiskSpace(*places)


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

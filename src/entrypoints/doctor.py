"""`etl doctor`: looks at everything that an installation stands on, and names the cure of what is wrong."""

import importlib.util
import os
import shutil
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from domain.errors import EtlError
from domain.horizon import LONG_SECONDS
from entrypoints.container import Container
from entrypoints.container.database import (
    horizon_holder,
    pending_migrations,
    require_durable,
    running_embedded,
    seconds_ahead,
)
from entrypoints.container.machine import containment
from entrypoints.directories import NO_DIRECTORY, trouble_with
from entrypoints.finding import Finding
from entrypoints.invariants import LOOK_AGAIN_SECONDS, examine_stored
from entrypoints.settings import Settings

OURS: Final = ("domain", "application", "adapters", "entrypoints")
DISTRIBUTION: Final = "etl-orchestrator"
ROOT: Final = Path(__file__).resolve().parents[1]
CLOCK_SECONDS: Final = 2.0


async def examine(
    settings: Settings, *, fix: bool = False, pause: float = LOOK_AGAIN_SECONDS
) -> list[Finding]:
    """Every check, whatever the others say. `fix` mends what is stored, and nothing else."""
    here = [_packages(), *_directories(settings), _disk(settings), _kill_mechanism(settings)]
    return [*here, *await _database(settings, fix=fix, pause=pause)]


# -- this machine ---------------------------------------------------------------------------------------


def _packages() -> Finding:
    """The four names are common ones: somebody else's package of the same name would be imported."""
    owners = packages_distributions()
    foreign = sorted({d for name in OURS for d in owners.get(name, []) if d != DISTRIBUTION})
    strange = [name for name in OURS if not _is_ours(name)]
    if foreign or strange:
        seen = f"{', '.join(foreign or strange)} own names of ours"
        return Finding("packages", seen, "Install ETL Orchestrator into an environment of its own.")
    return Finding("packages", "the names are ours")


def _is_ours(name: str) -> bool:
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None and Path(found.origin).is_relative_to(ROOT)


def _directories(settings: Settings) -> Iterator[Finding]:
    yield _directory("data.directory", settings.data.directory, os.W_OK)
    yield _directory("logs.directory", settings.logs_directory, os.W_OK)
    scripts = _directory("scripts.directory", settings.scripts.directory, os.R_OK)
    if scripts.cure is None and settings.scripts.directory.stat().st_mode & stat.S_IWOTH:
        cure = f"chmod o-w {settings.scripts.directory}"
        scripts = Finding("scripts.directory", "everybody may write: anybody may run programs here", cure)
    yield scripts


def _directory(setting: str, path: Path, mode: int) -> Finding:
    trouble = trouble_with(path, mode)
    if trouble is None:
        return Finding(setting, str(path))
    if trouble == NO_DIRECTORY:
        return Finding(setting, f"{path} {trouble}", f"mkdir -p {path}, or set {setting}.")
    return Finding(setting, f"{path} {trouble} by this user", f"Give it to this user, or set {setting}.")


def _disk(settings: Settings) -> Finding:
    places = (settings.logs_directory, *settings.logs_directory.parents)
    place = next(p for p in places if os.path.exists(p))  # noqa: PTH110 - Path's raises where this user may not look
    free = shutil.disk_usage(place).free
    seen = f"{free / 2**30:.1f} GiB free for logs"
    if free < settings.retention.disk_floor:
        return Finding("disk", seen, "Free some: below retention.disk_floor no attempt is started.")
    return Finding("disk", seen)


def _kill_mechanism(settings: Settings) -> Finding:
    how, kernel_limits_memory = containment(settings.data.directory)
    if how == "best_effort":
        cure = "Run workers on Linux where nothing may be left behind."
        return Finding("kill mechanism", "process groups: a program that daemonizes may escape", cure)
    seen = f"{how}: nothing that a program forks escapes"
    if how == "subreaper":
        seen += (
            ", unless worker, zygote and supervisor are killed in the same instant: a daemon that has cleared"
            " its environment lives on then (control groups would find it: as root, or with Delegate=yes)"
        )
    return Finding(
        "kill mechanism", f"{seen}; memory is {'limited by the kernel' if kernel_limits_memory else 'polled'}"
    )


# -- the database ---------------------------------------------------------------------------------------


async def _database(settings: Settings, *, fix: bool, pause: float) -> list[Finding]:
    try:
        url = settings.database.url or running_embedded(settings.data.directory)
        if url is None:
            return [Finding("database", "none runs", "Start `etl serve`, or set database.url.")]
        container = Container(settings=settings, database_url=url)
        await container.database().open()
    except EtlError as error:
        return [Finding("database", error.detail, "Look at the server, and at database.url.")]
    try:
        checks = (_durability, _schema, _clock, _horizon)
        found = [await _told(check, container, url) for check in checks]
        if any(each.check == "schema" and each.cure for each in found):
            return found  # what is stored is read by the present schema
        return [*found, *await _stored(container, settings, fix=fix, pause=pause)]
    finally:
        await container.database().close()


Check = Callable[[Container, str], Awaitable[Finding]]


async def _stored(container: Container, settings: Settings, *, fix: bool, pause: float) -> Sequence[Finding]:
    try:
        return await examine_stored(container, settings, fix=fix, pause=pause)
    except EtlError as error:
        return [Finding("stored jobs", error.detail, "The sentence says it.")]


async def _told(check: Check, container: Container, url: str) -> Finding:
    try:
        return await check(container, url)
    except EtlError as error:
        return Finding(check.__name__.strip("_"), error.detail, "The sentence says it.")


async def _durability(_: Container, url: str) -> Finding:
    if warnings := await require_durable(url):
        return Finding("durability", " ".join(warnings), "Turn it on (ALTER SYSTEM, then reload).")
    return Finding("durability", "what is committed survives a crash")


async def _schema(_: Container, url: str) -> Finding:
    if behind := await pending_migrations(url):
        return Finding("schema", f"{len(behind)} migrations behind", "etl migrate")
    return Finding("schema", "up to date")


async def _clock(container: Container, _: str) -> Finding:
    """Nothing is decided by it, but people compare times."""
    ahead = await seconds_ahead(container.database())
    seen = f"this machine's is {abs(ahead):.1f} s {'before' if ahead < 0 else 'ahead of'} the database's"
    cure = "Run a time service (chrony, systemd-timesyncd) on both machines."
    return Finding("clock", seen, cure if abs(ahead) > CLOCK_SECONDS else None)


async def _horizon(container: Container, _: str) -> Finding:
    holder = await horizon_holder(container.database())
    if holder is None or holder.seconds < LONG_SECONDS:
        return Finding("open transactions", "none that is old")
    seen = f"{holder} has one open for {holder.seconds:.0f} s, and claims become slow"
    return Finding("open transactions", seen, f"End it: SELECT pg_terminate_backend({holder.pid})")

"""What must be there for this process to be ready."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from application.asking.own_thread import in_own_thread
from application.held_attempts import HeldAttempts
from application.ports.clock import Clock
from domain.errors import Unavailable
from entrypoints.directories import trouble_with
from entrypoints.settings import Settings

Check = Callable[[], Awaitable[None]]


def health_checks(
    *, ping: Check, migrations: Check, disk: Check, held: HeldAttempts, clock: Clock, settings: Settings
) -> Mapping[str, Check]:
    """By name; each raises Unavailable with a sentence that names the cure."""

    async def renewals() -> None:
        _require_lease(held, clock.elapsed())

    async def logs() -> None:
        await _require_directory(settings.logs_directory, "logs.directory", os.W_OK)

    async def scripts() -> None:
        await _require_directory(settings.scripts.directory, "scripts.directory", os.R_OK)

    return {
        "database": ping,
        "migrations": migrations,
        "disk": disk,
        "logs": logs,
        "scripts": scripts,
        "renewals": renewals,
    }


def _require_lease(held: HeldAttempts, now: float) -> None:
    """Passes where there is no worker. Half of the lease is left when this fails."""
    age = now - held.renewed_at
    if held.session_id is not None and age > held.terms.seconds / 2:
        raise Unavailable(f"The worker's lease was last renewed {age:.0f} s ago: is the database slow?")


async def _require_directory(path: Path, setting: str, mode: int) -> None:
    """In a thread of its own: it may hang on a dead file system."""
    trouble = await asyncio.wrap_future(in_own_thread("health", lambda: trouble_with(path, mode)))
    if trouble is not None:
        raise Unavailable(f"`{setting}` {trouble}.")

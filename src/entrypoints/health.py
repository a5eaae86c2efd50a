"""What must be there for this process to be ready."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from application.held_attempts import HeldAttempts
from application.ports.clock import Clock
from domain.errors import Unavailable
from entrypoints.settings import Settings

Check = Callable[[], Awaitable[None]]


def health_checks(
    *, ping: Check, migrations: Check, disk: Check, held: HeldAttempts, clock: Clock, settings: Settings
) -> Mapping[str, Check]:
    """By name; each raises Unavailable with a sentence that names the cure."""

    async def renewals() -> None:
        _require_lease(held, clock.elapsed())

    async def logs() -> None:
        await _aside(lambda: _require_directory(settings.logs_directory, "logs.directory", os.W_OK))

    async def scripts() -> None:
        await _aside(lambda: _require_directory(settings.scripts.directory, "scripts.directory", os.R_OK))

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


def _require_directory(path: Path, setting: str, mode: int) -> None:
    if not path.is_dir():
        raise Unavailable(f"`{setting}` is no directory.")
    if not os.access(path, mode):
        raise Unavailable(f"`{setting}` cannot be {'written' if mode == os.W_OK else 'read'}.")


async def _aside(look: Callable[[], None]) -> None:
    """In a thread of its own: one that hangs on a dead file system takes no place in the pool that reads
    logs, and keeps no process from ending.
    """
    answer: Future[None] = Future()

    def do() -> None:
        try:
            look()
            answer.set_result(None)
        except Exception as error:  # noqa: BLE001 - it is handed on
            answer.set_exception(error)

    Thread(target=do, name="health", daemon=True).start()
    await asyncio.wrap_future(answer)

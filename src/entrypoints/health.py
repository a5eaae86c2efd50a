"""What must be there for this process to be ready."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from domain.errors import Unavailable
from entrypoints.settings import Settings

Check = Callable[[], Awaitable[None]]


def health_checks(ping: Check, disk: Check, settings: Settings) -> Mapping[str, Check]:
    """By name; each raises Unavailable with a sentence that names the cure."""

    async def logs() -> None:
        await asyncio.to_thread(_require_directory, settings.logs_directory, "logs.directory", os.W_OK)

    async def scripts() -> None:
        await asyncio.to_thread(_require_directory, settings.scripts.directory, "scripts.directory", os.R_OK)

    return {"database": ping, "disk": disk, "logs": logs, "scripts": scripts}


def _require_directory(path: Path, setting: str, mode: int) -> None:
    if not path.is_dir():
        raise Unavailable(f"`{setting}` is no directory.")
    if not os.access(path, mode):
        raise Unavailable(f"`{setting}` cannot be {'written' if mode == os.W_OK else 'read'}.")

"""The directories that settings name."""

import os
from pathlib import Path
from typing import Final

from domain.errors import WrongSetting

NO_DIRECTORY: Final = "is no directory"


def make_directory(path: Path, setting: str, mode: int = 0o777) -> None:
    """With those above it; one that is there stays as it is. Raises WrongSetting."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise WrongSetting(f"{setting}: {path} cannot be made: {error.strerror}.") from None


def trouble_with(path: Path, mode: int) -> str | None:
    """What keeps this user from a directory, `mode` as of os.access; None where nothing does."""
    try:
        is_there = path.is_dir()
    except PermissionError:
        return "cannot be reached"
    if not is_there:
        return NO_DIRECTORY
    if not os.access(path, mode):
        return f"cannot be {'written' if mode == os.W_OK else 'read'}"
    return None

"""The directories and the program that settings name."""

import os
from pathlib import Path
from typing import Final

from domain.errors import WrongSetting

NO_DIRECTORY: Final = "is no directory"


def make_directory(path: Path, setting: str, mode: int = 0o777) -> bool:
    """With those above it; one that is there stays as it is. Whether it is new. Raises WrongSetting."""
    try:
        is_new = not path.exists()
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise WrongSetting(f"{setting}: {path} cannot be made: {error.strerror}.") from None
    return is_new


def make_own_directory(path: Path, setting: str) -> None:
    """For this user alone, and for writing. Raises WrongSetting."""
    make_directory(path, setting, 0o700)
    if trouble := trouble_with(path, os.W_OK):
        raise WrongSetting(f"{setting}: {path} {trouble} by this user.")


def require_program(path: Path, setting: str) -> None:
    """Raises WrongSetting."""
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise WrongSetting(f"{setting}: {path} is no program that this user can run.")


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

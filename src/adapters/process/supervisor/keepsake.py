"""A mark beside an attempt's directory: what it left behind is to live on, so no sweep may take it."""

import os
from contextlib import suppress
from typing import Final

_PREFIX: Final = "kept-"


def leave(attempt_directory: str) -> None:
    """Stays when the attempt is forgotten, until what it kept has ended. Where it cannot be made (the disk is
    full), the next start of a worker stops what was kept.
    """
    with suppress(OSError):
        os.close(os.open(_place(attempt_directory), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def remove(attempt_directory: str) -> None:
    with suppress(OSError):
        os.unlink(_place(attempt_directory))


def is_there(attempt_directory: str) -> bool:
    return os.path.exists(_place(attempt_directory))


def _place(attempt_directory: str) -> str:
    directory, name = os.path.split(attempt_directory)
    return os.path.join(directory, _PREFIX + name)

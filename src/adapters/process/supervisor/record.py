"""An attempt's files: what a worker that comes later learns its beginning and its end from."""

import json
import os
from contextlib import suppress
from typing import Any, Final

from adapters.process.supervisor.launch import (
    ATTEMPT_FILE,
    CONTROL_SOCKET,
    RESULT_FILE,
    SPARE_SCRATCH,
    Launch,
)

_ASIDE: Final = ".tmp"
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def begin(launch: Launch) -> None:
    """Before the program starts: where else to look, should its supervisor die. Raises OSError."""
    facts = {
        "job_id": launch.job_id,
        "fence": launch.fence,
        "boot_id": launch.boot_id,
        "log": launch.log,
        "group": launch.group,
    }
    _write(os.path.join(launch.attempt_directory, ATTEMPT_FILE), facts)


def end(directory: str, result: dict[str, Any]) -> None:
    """The result. Raises OSError."""
    _write(os.path.join(directory, RESULT_FILE), result)


def sync(directory: str) -> None:
    """Brings the result to the disk, for a machine that stops before anybody has reported it."""
    with suppress(OSError):
        file = os.open(os.path.join(directory, RESULT_FILE), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def forget(directory: str) -> None:
    """The result goes last: an attempt that is half forgotten must not look like one that was lost."""
    for name in (CONTROL_SOCKET, ATTEMPT_FILE + _ASIDE, RESULT_FILE + _ASIDE, ATTEMPT_FILE, RESULT_FILE):
        with suppress(OSError):
            os.unlink(os.path.join(directory, name))
    for spare in (os.path.join(directory, SPARE_SCRATCH), directory):
        with suppress(OSError):
            os.rmdir(spare)


def is_vacated(directory: str, place: str) -> bool:
    """Forgets the attempt in one step, and leaves its files in `place`, for the next to be written over."""
    try:
        os.rename(directory, place)
        for name in (ATTEMPT_FILE, RESULT_FILE):
            path = os.path.join(place, name)
            os.rename(path, path + _ASIDE)
    except OSError:
        return False
    return True


def _write(path: str, facts: dict[str, Any]) -> None:
    """Whole or not at all, whatever is killed. The file aside may hold what an earlier attempt wrote."""
    data = json.dumps(facts).encode()
    size = len(data)
    file = os.open(path + _ASIDE, _FLAGS, 0o600)
    try:
        while data:
            data = data[os.write(file, data) :]
        os.ftruncate(file, size)
    finally:
        os.close(file)
    os.rename(path + _ASIDE, path)

"""An attempt's files: what a worker that comes later learns its beginning and its end from."""

import json
import os
from contextlib import suppress
from typing import Any, Final

from adapters.process.supervisor.launch import ATTEMPT_FILE, CONTROL_SOCKET, RESULT_FILE, Launch

_ASIDE: Final = RESULT_FILE + ".tmp"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def begin(launch: Launch) -> None:
    """Before the program starts: where else to look, should its supervisor die. Raises OSError."""
    facts = {"boot_id": launch.boot_id, "log": launch.log, "group": launch.group}
    _write(os.path.join(launch.attempt_directory, ATTEMPT_FILE), facts)


def end(directory: str, result: dict[str, Any]) -> None:
    """The result, whole or not at all, whatever is killed. Raises OSError."""
    aside = os.path.join(directory, _ASIDE)
    _write(aside, result)
    os.rename(aside, os.path.join(directory, RESULT_FILE))


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
    for name in (CONTROL_SOCKET, ATTEMPT_FILE, RESULT_FILE):
        with suppress(OSError):
            os.unlink(os.path.join(directory, name))
    with suppress(OSError):
        os.rmdir(directory)


def _write(path: str, facts: dict[str, Any]) -> None:
    data = json.dumps(facts).encode()
    file = os.open(path, _NEW, 0o600)
    try:
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)

"""The result record: what a worker that comes later learns the end of an attempt from."""

import json
import os
from typing import Any

from adapters.process.supervisor.launch import RESULT_FILE


def write(directory: str, record: dict[str, Any]) -> None:
    """Whole or not at all, also after a power cut: temporary file, fsync, rename."""
    temporary = os.path.join(directory, RESULT_FILE + ".tmp")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _write_all(file, json.dumps(record).encode())
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(temporary, os.path.join(directory, RESULT_FILE))


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]

"""PostgreSQL's own log, bounded: `postgres.log` and, when that was full, `postgres.log.1`.

PostgreSQL writes to the file itself, so it neither waits for us nor falls silent when we are killed.
"""

import os
import shutil
from pathlib import Path
from typing import IO

LARGEST = 8 * 1024 * 1024


class ServerLog:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> IO[bytes]:
        """For appending: after `trim` each writer goes on at the new end."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "ab")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def read_from(self, offset: int) -> str:
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(LARGEST).decode(errors="replace")

    def trim(self) -> None:
        """Lines written between the copy and the cut are lost; a full disk keeps no copy."""
        if self.size() <= LARGEST:
            return
        earlier = self.path.with_name(f"{self.path.name}.1")
        try:
            shutil.copyfile(self.path, earlier)
            earlier.chmod(0o600)
        except OSError:
            earlier.unlink(missing_ok=True)
        os.truncate(self.path, 0)

"""The passwords of the two roles, each in a file (0600) beside the database.

A lost file costs nothing: who may write the data directory may set new passwords at the next start.
"""

import os
import secrets
from pathlib import Path


class Passwords:
    def __init__(self, directory: Path) -> None:
        self._files = (directory / "postgres.password", directory / "etl.password")
        self.superuser, self.application = (_read(file) for file in self._files)
        self.are_new = False
        if not (self.superuser and self.application):
            self.renew()

    def renew(self) -> None:
        """In characters that need no quoting in SQL and URLs. They must reach the database before `keep`."""
        self.superuser, self.application = (secrets.token_urlsafe(24) for _ in self._files)
        self.are_new = True

    def keep(self) -> None:
        for file, password in zip(self._files, (self.superuser, self.application), strict=True):
            write_private(file, password)
        self.are_new = False


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, also after a power cut, and never readable by others."""
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""

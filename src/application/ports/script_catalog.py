"""The scripts directory: the only place from which scripts run."""

from pathlib import Path
from typing import Protocol


class ScriptCatalog(Protocol):
    """Looks at files each time: scripts change while the service runs."""

    def argv(self, script: str) -> tuple[str, ...]:
        """How to start this script: `*.py` by the configured interpreter, `*.sh` by `sh`, an
        executable file by itself. Raises UnknownScript for anything but a regular file beneath the
        directory: absolute paths, `..`, symlinks that leave it, devices, NUL.
        """

    @property
    def directory(self) -> Path:
        """Where scripts lie, and their current directory while they run."""

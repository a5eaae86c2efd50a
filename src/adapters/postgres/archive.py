"""A backup as a file: a zip archive with one member a table, and a manifest that is written last.

So a backup that was cut short has no manifest, each member has a checksum, and `unzip -p FILE TABLE` shows
a table as text.
"""

import json
import os
import zipfile
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from domain.backup_errors import BackupUnusable

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
PIECE: Final = 1024 * 1024
FASTEST: Final = 1


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[str, ...]
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """`revision`: the migration that the tables are those of."""

    revision: str
    release: str
    server_version: int
    made_at: str
    tables: tuple[Table, ...]

    def rows_of(self, table: str) -> int:
        return sum(t.rows for t in self.tables if t.name == table)


@dataclass(frozen=True, slots=True)
class Writing:
    file: zipfile.ZipFile

    async def keep(self, table: str, pieces: AsyncIterable[bytes | bytearray | memoryview]) -> None:
        with self.file.open(table, "w", force_zip64=True) as member:
            async for piece in pieces:
                member.write(piece)

    def finish(self, manifest: Manifest) -> None:
        self.file.writestr(MANIFEST, json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1))


@contextmanager
def written(path: Path) -> Iterator[Writing]:
    """The file appears under its name when it is whole and on the disk; of mode 0600, as what scripts were
    given stands in it.
    """
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=FASTEST) as archive:
                yield Writing(archive)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Reading:
    path: Path
    file: zipfile.ZipFile
    manifest: Manifest

    def pieces(self, table: str) -> Iterator[bytes]:
        """Raises BackupUnusable at the end of a member whose checksum is another."""
        with _told(self.path), self.file.open(table) as member:
            while piece := member.read(PIECE):
                yield piece


@contextmanager
def read(path: Path) -> Iterator[Reading]:
    """Raises BackupUnusable."""
    with _told(path):
        archive = zipfile.ZipFile(path)
    with archive:
        with _told(path):
            manifest = _manifest(json.loads(archive.read(MANIFEST)), path)
        yield Reading(path, archive, manifest)


def _manifest(found: dict[str, Any], path: Path) -> Manifest:
    if (version := found.pop("format")) != FORMAT:
        raise BackupUnusable(
            f"{path} has format {version}, and this program reads format {FORMAT}: restore it with the "
            "release that made it, or a later one."
        )
    tables = tuple(Table(t["name"], tuple(t["columns"]), t["rows"]) for t in found.pop("tables"))
    return Manifest(tables=tables, **found)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupUnusable(f"{path} cannot be read: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise BackupUnusable(f"{path} is no whole backup of `etl db dump`: {error}.") from error

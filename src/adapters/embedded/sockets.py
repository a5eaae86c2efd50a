"""Where PostgreSQL's socket lies: in a directory that its user alone can enter, never on the network."""

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from adapters.embedded.account import Account
from domain.errors import DataDirectoryUnusable

PORT = 5432  # a part of the socket's name, no more
LONGEST = 107 if sys.platform == "linux" else 103  # bytes of sun_path, unix(7)


@dataclass(frozen=True, slots=True)
class SocketDirectory:
    path: Path
    for_server: str  # as the postmaster, whose current directory is the database, names it

    def url(self, password: str) -> str:
        """States the port too, or a PGPORT in the caller's environment would lead elsewhere."""
        return f"postgresql://etl:{password}@/etl?host={quote(str(self.path), safe='')}&port={PORT}"

    @property
    def is_temporary(self) -> bool:
        return self.for_server != "."

    def clear(self) -> None:
        """Only for who holds server.lock: then `.s.PGSQL.5432.lock` is stale, whatever pid it names."""
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        if self.is_temporary:
            with suppress(OSError):
                self.path.rmdir()


def socket_directory(cluster: Path, account: Account) -> SocketDirectory:
    """The database's own directory (0700) where the path is short enough, else a private one elsewhere."""
    if _fits(cluster):
        return SocketDirectory(cluster, ".")
    digest = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:12]
    parents = (Path(tempfile.gettempdir()), Path("/tmp"))  # noqa: S108 - owner and mode are verified below
    short = next(path for parent in parents if _fits(path := parent / f"etl-{os.geteuid()}-{digest}"))
    _make_private(short, account)
    return SocketDirectory(short, str(short))


def _fits(directory: Path) -> bool:
    name = str(directory / f".s.PGSQL.{PORT}")  # libpq takes a comma for the start of a second host
    return len(os.fsencode(name)) <= LONGEST and "," not in name


def _make_private(directory: Path, account: Account) -> None:
    """A killed owner leaves it behind; whoever else may have made it could wait there for our password."""
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise _taken(directory) from None
    try:
        if os.fstat(descriptor).st_uid not in (os.geteuid(), account.uid):
            raise _taken(directory)
        os.fchmod(descriptor, 0o700)
        os.fchown(descriptor, account.uid, account.gid)
    finally:
        os.close(descriptor)


def _taken(directory: Path) -> DataDirectoryUnusable:
    return DataDirectoryUnusable(
        f"{directory}, the place for the database's socket, belongs to somebody else. "
        "Remove it, or set data.directory to a shorter path."
    )

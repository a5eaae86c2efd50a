"""Where the server is, and with which key: from two variables, or from what `etl serve` left here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from entrypoints.cli.failure import Failure
from entrypoints.settings import load
from entrypoints.whereabouts import ADMIN_KEY_FILE, announced


@dataclass(frozen=True, slots=True)
class Address:
    """`key` is None where none was found: a server with `http.auth` off asks for none."""

    url: str
    key: str | None


def find(environ: Mapping[str, str], directory: Path) -> Address:
    """`ETL_URL` and `ETL_API_KEY` (or `ETL_API_KEY_FILE`), else the server of this machine.

    The admin key of this machine is never sent to an address that `ETL_URL` names: that may be
    anybody's, unless it is this machine's server itself. Raises Failure.
    """
    key = _key(environ)
    url = environ.get("ETL_URL", "").rstrip("/")
    if url and not url.lower().startswith(("http://", "https://")):
        raise Failure(f"ETL_URL: {url} is no address: begin it with http:// or https://.")
    if url and key:
        return Address(url, key)
    data = load({}, environ, directory).settings.data.directory
    running = _running(data)
    if not url and running is None:
        raise Failure(f"No server runs here ({data}). Start one with `etl serve`, or set ETL_URL.")
    if url and url != running:
        return Address(url, None)
    return Address(running or url, key or _admin_key(data))


def _key(environ: Mapping[str, str]) -> str | None:
    place, key = "ETL_API_KEY", environ.get("ETL_API_KEY", "")
    if path := environ.get("ETL_API_KEY_FILE"):
        place, key = "ETL_API_KEY_FILE", _read(path)
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise Failure(f"{place} is no key: only visible ASCII can be sent.")
    return key or None


def _read(path: str) -> str:
    """Bytes that are no UTF-8 are replaced: they are no key either."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Failure(f"ETL_API_KEY_FILE: {path} cannot be read: {error.strerror}.") from None


def _running(data: Path) -> str | None:
    """The address of a server that lives. A dead one's port may be somebody else's by now, who must
    not get the key.
    """
    server = announced(data)
    return server.url if server is not None and _lives(server.pid) else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _admin_key(data: Path) -> str | None:
    try:
        return (data / ADMIN_KEY_FILE).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None

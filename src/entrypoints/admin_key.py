"""The first key: a service that runs programs is never open, so somebody must be able to get in."""

import os
from pathlib import Path
from typing import Final

from application.authenticate import Authenticate
from application.manage_keys import IssueKey
from domain.access import Principal, Scope
from domain.errors import Unauthenticated
from entrypoints.whereabouts import ADMIN_KEY_FILE

INSTALLER: Final = Principal(name="installation", scopes=frozenset({Scope.ADMIN}))


async def ensure_admin_key(directory: Path, authenticate: Authenticate, issue: IssueKey) -> Path:
    """The file with a key that opens everything, made at the first start, mode 0600.

    A file whose key this database does not know, for instance after a move to another one, gets a
    new key.
    """
    path = directory / ADMIN_KEY_FILE
    if not await _opens(path, authenticate):
        _, secret = await issue("admin", frozenset({Scope.ADMIN}), None, INSTALLER)
        _write_private(path, secret)
    return path


async def _opens(path: Path, authenticate: Authenticate) -> bool:
    try:
        secret = path.read_text(encoding="ascii")  # noqa: ASYNC240 - 50 bytes, before anybody is served
        await authenticate(secret.strip())
    except (FileNotFoundError, UnicodeDecodeError, Unauthenticated):
        return False
    return True


def _write_private(path: Path, secret: str) -> None:
    """Never readable by others, not for a moment, and never half written."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)

"""Which operating system user PostgreSQL runs as. It refuses to run as root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from domain.errors import DataDirectoryUnusable

STAND_INS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int

    @property
    def is_another_user(self) -> bool:
        return self.uid != os.geteuid()

    def own(self, directory: Path) -> None:
        """`directory` is one that we have just made: nothing of anybody else changes its owner."""
        if self.is_another_user:
            os.chown(directory, self.uid, self.gid)


def account_for(cluster: Path) -> Account:
    """Root runs PostgreSQL as the owner of an existing database, so nothing is ever handed over."""
    if os.geteuid() != 0:
        return _ourselves(cluster)
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    return _stand_in()


def _ourselves(cluster: Path) -> Account:
    us = Account(os.geteuid(), os.getegid())
    if cluster.exists() and cluster.stat().st_uid != us.uid:
        raise DataDirectoryUnusable(
            f"{cluster} belongs to user id {cluster.stat().st_uid}, and this is user id {us.uid}. "
            "Start as that user, or set data.directory to a directory of your own."
        )
    return us


def _stand_in() -> Account:
    for name in STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise DataDirectoryUnusable(
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody. "
        "Start as a plain user, or set database.url."
    )


def require_name(account: Account) -> None:
    """initdb, unlike postgres, wants its user to have a name (`docker run --user 12345` has none)."""
    try:
        pwd.getpwuid(account.uid)
    except KeyError:
        raise DataDirectoryUnusable(
            f"User id {account.uid} has no name on this machine, and PostgreSQL needs one at first. "
            "Add the user to /etc/passwd, start as a named user, or set database.url."
        ) from None

"""The program's own directory, `ETL_WORK_DIR`: made before it starts, removed when it has ended."""

import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from adapters.process.supervisor import kernel
from adapters.process.supervisor.kernel import LINUX
from adapters.process.supervisor.launch import User

_PRIVATE: Final = stat.S_IFDIR | 0o700


def make(path: str, user: User | None) -> None:
    os.mkdir(path, 0o700)
    if user is not None:
        os.chown(path, user["uid"], user["gid"])


def take(path: str, spare: str) -> int:
    """As `make` for this process's own user, from one that was put by; the time at which that is."""
    try:
        os.rename(spare, path)
    except OSError:
        make(path, None)
    return os.stat(path).st_ctime_ns


def is_put_by(path: str, spare: str, taken: int) -> bool:
    """Where no program has touched it: any change would have changed its time (ctime). One within a tick of
    the kernel's clock might not have, so what it could have left is looked for.
    """
    try:
        now = os.stat(path)
        if (now.st_ctime_ns, now.st_mode) != (taken, _PRIVATE) or os.listdir(path) or _has_attributes(path):
            return False
        os.rename(path, spare)
    except OSError:
        return False
    return True


def _has_attributes(path: str) -> bool:
    """Also lists of access rights; where nobody can say, it may have some."""
    return not LINUX or bool(os.listxattr(path))


def is_removed(path: str) -> bool:
    """Most are empty, and gone at once."""
    try:
        os.rmdir(path)
    except OSError:
        return not os.path.lexists(path)
    return True


def remove(path: str) -> None:
    """Removes the tree however deep it is and whatever modes its directories have; what resists stays.

    Directories are moved up to the top and emptied there, so that neither a path longer than
    PATH_MAX nor ten thousand nested directories (recursion, open descriptors) can stop it.
    """
    with _as_its_owner(path):
        _remove(path)
    with suppress(OSError):
        os.rmdir(path)


@contextmanager
def _as_its_owner(path: str) -> Iterator[None]:
    """Root follows no link that another process of the program's user puts in its way."""
    owner = os.lstat(path)
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    kernel.set_file_user(owner.st_uid, owner.st_gid)
    try:
        yield
    finally:
        kernel.set_file_user(0, os.getegid())


def _remove(path: str) -> None:
    names = (f".{os.urandom(8).hex()}-{n}" for n in itertools.count())
    with suppress(OSError):  # where its owner cannot even reach it, it has nothing in it
        os.chmod(path, 0o700)
    full = [path]
    emptied = []
    while full:
        directory = full.pop()
        emptied.append(directory)
        full += _empty(directory, path, names)
    for directory in reversed(emptied):
        with suppress(OSError):
            os.rmdir(directory)


def _empty(directory: str, top: str, names: Iterator[str]) -> list[str]:
    """Deletes the files in it and moves its directories up; where they are now."""
    moved = []
    try:
        with os.scandir(directory) as entries:
            found = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:
        return []
    for path, is_directory in found:
        with suppress(OSError):
            if is_directory:
                moved.append(_move_up(path, top, names))
            else:
                os.unlink(path)
    return moved


def _move_up(path: str, top: str, names: Iterator[str]) -> str:
    os.chmod(path, 0o700)
    place = os.path.join(top, next(names))
    os.rename(path, place)
    return place

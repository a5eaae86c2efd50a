"""Locks that the kernel frees at any death of their holder (flock(2)): no file to go stale, no pid reused.

`owner.lock` is held by the one process that keeps the database. `server.lock` is inherited by PostgreSQL
and all of its processes, so it is free exactly when none of them lives; a zombie holds none.
"""

import fcntl
import os
import time
from pathlib import Path

LOOK_EVERY = 0.02  # seconds; a lock has no event to wait for with a limit


def take(path: Path, patience: float) -> int | None:
    """An open descriptor that holds the lock, or None if another holds it for `patience` seconds."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + patience
    while not _locked(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= end:
            os.close(descriptor)
            return None
        time.sleep(LOOK_EVERY)
    return descriptor


def is_held(path: Path) -> bool:
    """Looks by taking the shared lock for an instant, which is why an owner must have some patience."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

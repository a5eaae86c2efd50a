"""Disks that are soon full."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import pytest

PIECES = (2**20, 2**12, 1)


@contextmanager
def small_disk(at: Path, megabytes: int, *options: str) -> Iterator[None]:
    """Mounted at a directory that need not be there."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    at.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = ",".join((f"size={megabytes}m", "mode=0700", *options))
    mount = ["mount", "-t", "tmpfs", "-o", told, "tmpfs", str(at)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def give_room(at: Path, *options: str) -> None:
    told = ",".join(("remount", *options))
    subprocess.run(["mount", "-o", told, str(at)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """To the last byte, and whatever becomes free is taken at once."""
    with (disk / "ballast").open("ab", buffering=0) as ballast:
        _fill(ballast)
        over = threading.Event()
        thread = threading.Thread(target=_keep_full, args=(ballast, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            (disk / "ballast").unlink()


def _keep_full(ballast: FileIO, over: threading.Event) -> None:
    while not over.wait(0.005):
        _fill(ballast)


def _fill(ballast: FileIO) -> None:
    for size in PIECES:
        with suppress(OSError):
            while ballast.write(bytes(size)):
                pass

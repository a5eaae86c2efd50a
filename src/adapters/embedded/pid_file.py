"""postmaster.pid, which outlives its postmaster: its pid may be another program by now, or a zombie."""

import os
from pathlib import Path


def disown(cluster: Path) -> None:
    """For who holds server.lock, and so knows that the pid is stale.

    PostgreSQL would refuse to start for a live pid other than its parent's, so it gets ours. The rest stays:
    it names the shared memory by which PostgreSQL looks for backends that are left. A file without a pid (a
    full disk, a power cut) would stop it for ever, and goes.
    """
    path = cluster / "postmaster.pid"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "r+") as file:
        lines = file.readlines()
        if lines and lines[0].strip().isdecimal():
            file.seek(0)
            file.writelines([f"{os.getpid()}\n", *lines[1:]])
            file.truncate()
            return
    path.unlink()

"""Kills one process when this one ends, however it ends: for a child that cannot ask for it itself."""

import fcntl
import os
import signal


class Leash:
    """What PR_SET_PDEATHSIG does, from the parent's side. It holds on to the process, not to its number.

    The kernel sends the signal of a pipe's reader (F_SETSIG, fcntl(2)) when the last writer is closed. A
    process that dies closes all that it has open in the order of the numbers, up or down: so one writer lies
    above its reader and one below. Raises OSError where the kernel has no such signals.
    """

    def __init__(self) -> None:
        reader, self._above = os.pipe()
        moved, self._below = os.pipe()
        above = fcntl.fcntl(moved, fcntl.F_DUPFD_CLOEXEC, self._below + 1)
        os.close(moved)
        self._readers = (reader, above)
        for descriptor in self._readers:
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_ASYNC)

    def hold(self, pid: int) -> None:
        """A child that was not reaped yet; instead of the one before."""
        for descriptor in self._readers:
            fcntl.fcntl(descriptor, fcntl.F_SETOWN, pid)

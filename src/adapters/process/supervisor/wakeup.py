"""Turns SIGCHLD into something that poll(2) sees."""

import os
import signal
from contextlib import suppress
from types import FrameType


class Wakeup:
    """Readable when a child has changed. One a process: it is the process's own signal handling.

    The signals that stop a service are ignored: a worker's end must not end what it supervises.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def fileno(self) -> int:
        return self._read

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._read, 4096)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._read)
        os.close(self._write)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A handler must exist, else the signal is discarded and wakes nobody."""

"""Carries what the program writes into its log. A thread of its own: a hung disk must not delay a kill. It is
begun at the first byte, and the log with it: for a short program that writes nothing, thread and files took
more processor time than all else.
"""

import fcntl
import os
import select
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from adapters.process.supervisor.ears import Ears
from adapters.process.supervisor.log_file import LogFile
from adapters.process.supervisor.masker import LogMasker
from domain.log_index import STDERR, STDOUT

_READ_BYTES: Final = 256 * 1024
_PIPE_BYTES: Final = 1024 * 1024
_F_SETPIPE_SZ: Final = 1031  # fcntl.F_SETPIPE_SZ, Linux only


class Pump:
    """Two pipes into one file, interleaved as they came. A failed write loses those bytes, is counted,
    and never stops the draining: a full disk neither blocks nor fails the program.
    """

    def __init__(
        self, log: str, index: str, max_bytes: int, secrets: Sequence[str], *, keep: bool = False
    ) -> None:
        self.stdout, self.stderr = _pipe(), _pipe()
        self._file = LogFile(log, index, max_bytes)
        self._secrets = secrets
        self._bell = os.pipe() if keep else None
        self._silent: dict[int, Ears] = {}
        """The reading ends on which nothing has come yet, and who listens to them."""
        self._in_hand = 0
        self._left_bytes = 0
        self._thread: threading.Thread | None = None

    def start(self, ears: Ears) -> None:
        """To be called after the start of the program; closes this process's writing ends."""
        os.close(self.stdout[1])
        os.close(self.stderr[1])
        for descriptor in (self.stdout[0], self.stderr[0]):
            self._silent[descriptor] = ears
            ears.on(descriptor, partial(self._hear, descriptor))
        if self._bell is not None:
            self.begin()

    def begin(self) -> None:
        """Makes the log, though nothing may have been written yet, and carries. May be called again."""
        if not self._silent:
            return
        while self._silent:
            descriptor, ears = self._silent.popitem()
            ears.off(descriptor)
        self._maskers = {stream: LogMasker(self._secrets) for stream in (STDOUT, STDERR)}
        self._parted = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Waits for the end of both pipes. Beyond `seconds` the disk hangs, or a foreign process holds
        a pipe: what has not been written then is lost, and counted, and the thread is left behind.
        """
        self._look_again()
        if self._thread is None:
            self._file.close()
        else:
            self._thread.join(seconds)
            if self._thread.is_alive():
                self._left_bytes = self._in_hand + _waiting(self.stdout[0]) + _waiting(self.stderr[0])
                return
        for descriptor in (self.stdout[0], self.stderr[0], *(self._bell or ())):
            os.close(descriptor)

    def abandon(self) -> None:
        """Instead of `start`, where there is no program."""
        for descriptor in (*self.stdout, *self.stderr, *(self._bell or ())):
            os.close(descriptor)

    def part(self, seconds: float) -> None:
        """The log ends with what has been written by now. What comes later, from processes that live on,
        goes nowhere, and blocks nobody. Only for a pump that was made to `keep`.
        """
        assert self._bell is not None  # noqa: S101 - see above
        os.write(self._bell[1], b".")
        if not self._parted.wait(seconds):
            self._left_bytes = self._in_hand + _waiting(self.stdout[0]) + _waiting(self.stderr[0])

    @property
    def log_bytes(self) -> int:
        return self._file.kept_bytes

    @property
    def lost_bytes(self) -> int:
        return self._file.lost_bytes + self._left_bytes

    def _hear(self, descriptor: int, events: int) -> None:
        if events & select.POLLIN:
            self.begin()
        else:  # its end
            self._silent.pop(descriptor).off(descriptor)

    def _look_again(self) -> None:
        """A pipe that has neither been written to nor ended is for the thread too: it waits."""
        if not self._silent:
            return
        poll = select.poll()
        for descriptor in self._silent:
            poll.register(descriptor, select.POLLIN)
        for descriptor, events in poll.poll(0):
            if descriptor in self._silent:
                self._hear(descriptor, events)
        self.begin()

    def _run(self) -> None:
        self._file.open()
        streams = {self.stdout[0]: STDOUT, self.stderr[0]: STDERR}
        poll = select.poll()
        for descriptor in streams:
            poll.register(descriptor, select.POLLIN)
        if self._bell is not None:
            poll.register(self._bell[0], select.POLLIN)
        while streams:
            for descriptor, _ in poll.poll():
                if self._bell is not None and descriptor == self._bell[0]:
                    poll.unregister(descriptor)
                    self._part(streams)
                elif not self._carry(descriptor, streams[descriptor]):
                    poll.unregister(descriptor)
                    del streams[descriptor]
        if not self._parted.is_set():
            self._file.close()
            self._parted.set()

    def _part(self, streams: Mapping[int, int]) -> None:
        for descriptor, stream in streams.items():
            waiting = _waiting(descriptor)
            while waiting > 0:
                waiting -= self._carry(descriptor, stream)
            if rest := self._maskers[stream].end():
                self._file.append(stream, time.time_ns() // 1000, rest)
        self._file.close()
        self._parted.set()

    def _carry(self, descriptor: int, stream: int) -> int:
        """How many bytes; 0 at the end of the stream."""
        chunk = os.read(descriptor, _READ_BYTES)
        if self._parted.is_set():
            return len(chunk)
        self._in_hand = len(chunk)
        masker = self._maskers[stream]
        told = masker.feed(chunk) if chunk else masker.end()
        if told:
            self._file.append(stream, time.time_ns() // 1000, told)
        self._in_hand = 0
        return len(chunk)


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    with suppress(OSError):  # the user's quota of pipe memory is used up, or no Linux: 64 KiB do as well
        fcntl.fcntl(write, _F_SETPIPE_SZ, _PIPE_BYTES)
    return read, write


def _waiting(descriptor: int) -> int:
    answer = bytearray(4)
    fcntl.ioctl(descriptor, termios.FIONREAD, answer)
    return int.from_bytes(answer, "little")

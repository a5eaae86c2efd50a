"""What the standard library lacks of Linux: prctl(2), and the clock that counts suspended time."""

import ctypes
import os
import signal
import struct
import sys
import time
from contextlib import suppress

LINUX = sys.platform == "linux"

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_TIMER_ABSTIME = 1
_SIGEVENT_BYTES = 64
_POINTER_BYTES = ctypes.sizeof(ctypes.c_void_p)

_libc = ctypes.CDLL(None, use_errno=True)


def elapsed_ns() -> int:
    """The clock of `Launch.deadline` (application.ports.clock.Clock.elapsed), in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) if LINUX else time.monotonic_ns()


def become_subreaper() -> bool:
    """Descendants that lose their parent become children of this process. False where that cannot be."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int) -> None:
    """Signal `number` comes when the *thread* that forked this process ends; setuid(2) clears it."""
    _prctl(_PR_SET_PDEATHSIG, number)


def set_dumpable(*, dumpable: bool) -> None:
    """Not dumpable: processes of the same user cannot read /proc/PID/environ, memory or descriptors.

    It also makes /proc/self belong to root, so /proc/self/oom_score_adj is written before.
    """
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


class Fuse:
    """SIGKILL to this process at an instant of `elapsed_ns`, by a timer of the kernel (timer_create(2)).

    So it comes while this process is stopped, frozen or starved too, which no timer of its own does.
    Not inherited by what it forks. Where there is no such timer, nothing happens.
    """

    def __init__(self) -> None:
        self._timer = ctypes.c_void_p()
        # struct sigevent: a value, the signal, how (SIGEV_SIGNAL is 0), padding.
        event = (
            struct.pack("=ii", signal.SIGKILL, 0)
            .rjust(_POINTER_BYTES + 8, b"\0")
            .ljust(_SIGEVENT_BYTES, b"\0")
        )
        create = getattr(_libc, "timer_create", None)  # glibc before 2.34 has it in librt
        made = (
            LINUX
            and create is not None
            and create(time.CLOCK_BOOTTIME, event, ctypes.byref(self._timer)) == 0
        )
        self._is_made = bool(made)

    def burn_until(self, elapsed: int) -> None:
        """0: put out. The time may be moved in both directions."""
        if self._is_made:
            once = struct.pack("@llll", 0, 0, *divmod(elapsed, 1_000_000_000))
            _libc.timer_settime(self._timer, _TIMER_ABSTIME, once, None)


def forbid_new_privileges() -> None:
    """No set-user-id program below this process gains anything."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_name(name: str) -> None:
    """What `ps -o comm` shows, at most 15 bytes."""
    if LINUX:
        _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def set_file_user(uid: int, gid: int) -> None:
    """Whose rights this *thread* has on files (setfsuid(2)); 0 gives root its own back."""
    if LINUX:
        _libc.setfsgid(gid)
        _libc.setfsuid(uid)


class OutOfMemory:
    """The kernel's count of what it has killed for lack of memory. Kept open: it is read twice an attempt."""

    def __init__(self) -> None:
        self._file = -1
        with suppress(OSError):
            self._file = os.open("/proc/vmstat", os.O_RDONLY | os.O_CLOEXEC)

    def kills(self) -> int:
        """Processes of this machine, in any control group; 0 where the kernel does not say."""
        text = b"\n"
        with suppress(OSError):
            while b"\noom_kill " not in text and (more := os.pread(self._file, 16384, len(text) - 1)):
                text += more
        _, _, count = text.partition(b"\noom_kill ")
        return int(count.split(None, 1)[0]) if b"\n" in count else 0


def figure(path: str, name: bytes) -> int | None:
    """The number in the line that begins with `name`, as /proc and control groups write them; None where
    there is no such line, or nothing that may be read.
    """
    with suppress(OSError), open(path, "rb") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1])
    return None


def _prctl(option: int, value: int) -> bool:
    return LINUX and _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0

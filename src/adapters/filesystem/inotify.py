"""inotify(7), which Python has no module for. Linux only."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final

IGNORED: Final = 0x8000
OVERFLOW: Final = 0x4000
_MODIFY: Final = 0x2
_CREATE: Final = 0x100
_ONLY_DIRECTORIES: Final = 0x0100_0000
_EVENT: Final = Struct("iIII")
_READ_BYTES: Final = 64 * 1024
_LOCAL: Final = frozenset(
    # statfs(2): ext, XFS, Btrfs, tmpfs, overlayfs, ZFS, F2FS
    (0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x794C7630, 0x2FC12FC1, 0xF2F52010)
)
_STATFS_BYTES: Final = 256


class Inotify:
    """Tells of writes into the files of directories. Raises OSError where there is none, or no more."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise OSError("no inotify")
        self._descriptor = _checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        return self._descriptor

    def watch(self, directory: Path) -> int | None:
        """The number of the watch; None where other machines may write, which nobody is told of."""
        if not self._is_local(directory):
            return None
        flags = _MODIFY | _CREATE | _ONLY_DIRECTORIES
        return _checked(self._libc.inotify_add_watch(self._descriptor, os.fsencode(directory), flags))

    def forget(self, watch: int) -> None:
        self._libc.inotify_rm_watch(self._descriptor, watch)

    def events(self) -> Iterator[tuple[int, int]]:
        """Watch and flags of each event so far."""
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, flags, _, name_bytes = _EVENT.unpack_from(data, at)
            at += _EVENT.size + name_bytes
            yield watch, flags

    def close(self) -> None:
        os.close(self._descriptor)

    def _is_local(self, directory: Path) -> bool:
        answer = ctypes.create_string_buffer(_STATFS_BYTES)
        _checked(self._libc.statfs(os.fsencode(directory), answer))
        return ctypes.c_long.from_buffer(answer).value & 0xFFFF_FFFF in _LOCAL


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer

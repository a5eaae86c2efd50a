"""fork(2), straight into a control group: moving a process there afterwards takes some 15 ms, because
the kernel waits for every processor (measured; the semaphore of cgroups(7) that no fork may pass).
"""

import ctypes
import os
import signal
import struct
from typing import Final

from adapters.process.supervisor.group import V2, Group

_CLONE3: Final = 435  # on every architecture
_CLONE_INTO_CGROUP: Final = 0x200000000
_ARGUMENTS: Final = struct.Struct("=11Q")  # clone3(2): struct clone_args, with its last member `cgroup`
_own = ctypes.PyDLL(None, use_errno=True)  # it keeps the interpreter's lock, as os.fork does


def fork(group: str | None) -> tuple[int, bool]:
    """As os.fork, and whether the child is in the group already. Only for a single-threaded process."""
    if group is not None and Group(group).kind == V2:
        descriptor = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            pid = _clone(descriptor)
        finally:
            os.close(descriptor)
        if pid >= 0:
            return pid, True
    return os.fork(), False


def _clone(group: int) -> int:
    """-1 where the kernel is older than 5.7, or a filter forbids it; then fork(2) tells what is wrong."""
    arguments = _ARGUMENTS.pack(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, group)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _own.syscall(ctypes.c_long(_CLONE3), arguments, ctypes.c_size_t(len(arguments)))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    return pid

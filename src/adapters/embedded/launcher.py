"""Becomes PROGRAM as another user, one that dies with its owner. A script of its own, stdlib only.

    python -I -S launcher.py OWNER_PID UID GID PROGRAM [ARGUMENT...]

It stands between us and PostgreSQL because `preexec_fn` may deadlock in a process with threads, and because
setuid clears the parent-death signal (prctl(2)), which must therefore be set after it, here. The signal comes
when the *thread* ends that started us, not the process: the caller keeps that thread.
macOS has no such signal: there PostgreSQL outlives a killed owner, and the next start replaces it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
FAST_SHUTDOWN = signal.SIGINT


def main() -> None:
    owner, uid, gid = (int(number) for number in sys.argv[1:4])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _become(uid, gid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, FAST_SHUTDOWN)
    if os.getppid() != owner:
        sys.exit("the owner died before PostgreSQL could start")
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 - argv only, no shell; the caller names the program


def _become(uid: int, gid: int) -> None:
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


if __name__ == "__main__":
    main()

"""A control group for one attempt, where the machine lets us have one (cgroups(7)).

What is in it stays in it, whatever it forks and whoever dies above it: so it finds also what has lost
worker, zygote, supervisor, parents and environment. The subreaper stays, and has the last word.
"""

import os
import signal
import time
from contextlib import suppress
from typing import Final

V2: Final = "cgroup_v2"
V1: Final = "cgroup_v1"
_FREEZE_SECONDS: Final = 0.2
_CLEAR_SECONDS: Final = 5.0
_PAUSE: Final = 0.002


class Group:
    """Known by its path alone, so that a later life can use what an earlier one made. Version 2 kills by
    `cgroup.kill`; of version 1 the freezer holds still what is killed.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def kind(self) -> str | None:
        """None where it does not exist, or cannot kill."""
        if os.path.exists(os.path.join(self.path, "cgroup.kill")):
            return V2
        return V1 if os.path.exists(os.path.join(self.path, "freezer.state")) else None

    def make(self) -> str | None:
        """Its kind; None where it cannot be made."""
        with suppress(OSError):
            try:
                os.mkdir(self.path, 0o755)
            except FileNotFoundError:
                os.makedirs(self.path, 0o755, exist_ok=True)
        return self.kind

    def join(self, pid: int = 0) -> None:
        """That process, 0: this one, with all that it will fork. Raises OSError."""
        write(os.path.join(self.path, "cgroup.procs"), str(pid))

    def kill(self) -> None:
        """SIGKILL to all that is in it; with version 2 in one step that no fork escapes."""
        with suppress(OSError):
            if self.kind == V2:
                write(os.path.join(self.path, "cgroup.kill"), "1")
            elif self.kind == V1:
                self._kill_frozen()

    def processes(self) -> list[int]:
        """Also those in groups that a program has made below it."""
        found = []
        for directory, _, _ in os.walk(self.path):
            with suppress(OSError), open(os.path.join(directory, "cgroup.procs"), "rb") as file:
                found += [int(line) for line in file]
        return found

    def clear(self) -> int:
        """Kills what is in it and removes it; how many processes are left in it after some seconds."""
        until = time.monotonic() + _CLEAR_SECONDS
        while not self._remove():
            self.kill()
            if time.monotonic() > until:
                return len(self.processes())
            time.sleep(_PAUSE)
        return 0

    def _kill_frozen(self) -> None:
        """Frozen processes do not fork, and their pids stay theirs. They die when they thaw."""
        state = os.path.join(self.path, "freezer.state")
        write(state, "FROZEN")
        try:
            until = time.monotonic() + _FREEZE_SECONDS
            while read(state) != b"FROZEN" and time.monotonic() < until:
                time.sleep(_PAUSE)
            for pid in self.processes():
                if pid > 0:  # 0 stands for a process outside of our namespace, and kill(2) for our own group
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
        finally:
            write(state, "THAWED")

    def _remove(self) -> bool:
        """False while something lives in it."""
        with suppress(OSError):  # most have no group below them
            os.rmdir(self.path)
            return True
        try:
            for directory, _, _ in os.walk(self.path, topdown=False):
                os.rmdir(directory)
        except OSError:
            return not os.path.isdir(self.path)
        return True


def write(path: str, text: str) -> None:
    """Into a file that is there; raises OSError, also where the kernel takes no such value."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def read(path: str) -> bytes:
    """Raises OSError."""
    with open(path, "rb") as file:
        return file.read().strip()

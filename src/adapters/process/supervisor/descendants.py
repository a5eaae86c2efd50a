"""The descendants of this process: reaped with their usage, signalled, and killed until none is left."""

import os
import signal
import time
from contextlib import suppress

from adapters.process.supervisor import tree
from adapters.process.supervisor.group import Group
from adapters.process.supervisor.kernel import LINUX, elapsed_ns, figure
from adapters.process.supervisor.limits import Taken

_RSS_UNIT = 1024 if LINUX else 1  # getrusage(2): kilobytes, on macOS bytes
_FIRST_PAUSE = 0.0005
_LONGEST_PAUSE = 0.02


class Descendants:
    """Of a subreaper, the tree of one program: whatever it forks stays below until it is reaped here.

    `empty` is the kernel's own word (ECHILD): then there is no descendant of any kind.
    """

    def __init__(self) -> None:
        self.main = 0
        self.group: Group | None = None
        self.main_status: int | None = None
        self.empty = False
        self.cpu_seconds = 0.0
        self.max_rss_bytes = 0

    def reap(self) -> None:
        """wait4 of every dead child, own or inherited; each brings the usage of those it waited for."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self.empty = True
                return
            if pid == 0:
                return
            self.cpu_seconds += usage.ru_utime + usage.ru_stime
            self.max_rss_bytes = max(self.max_rss_bytes, usage.ru_maxrss * _RSS_UNIT)
            if pid == self.main:
                self.main_status = status

    def alive(self) -> list[tree.Identity]:
        return tree.below(os.getpid(), tree.snapshot())

    def signal(self, *numbers: int) -> None:
        """One pass over the tree. What forks meanwhile may be missed: only `kill` is thorough."""
        for process in self.alive():
            tree.send(process, *numbers)

    def kill(self, seconds: float) -> int:
        """SIGKILL and reap until the kernel says that there is no child; how many are left after
        `seconds` (a process in state D cannot be killed).
        """
        until = elapsed_ns() + int(seconds * 1e9)
        pause = _FIRST_PAUSE
        self.reap()
        if self.group is not None and not self.empty:
            self.group.kill()
        self._kill_with_main()
        self.reap()
        while not self.empty and elapsed_ns() < until:
            self.signal(signal.SIGKILL)
            self.reap()
            if not self.empty:
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                self.reap()
        return 0 if self.empty else len(self.alive())

    def _kill_with_main(self) -> None:
        """Its process group, at one stroke that no fork escapes: a walk from process to process loses against
        a fork bomb on a busy machine. Until the main process is reaped nobody else can have its number.
        """
        if self.main and self.main_status is None:
            with suppress(OSError):
                os.killpg(self.main, signal.SIGKILL)

    def measure(self) -> None:
        """Peak memory of what lives. wait4 misses those whose parent ignores SIGCHLD, and tells the
        rest only at their end.
        """
        for pid, _ in self.alive():
            self.max_rss_bytes = max(self.max_rss_bytes, _peak(pid))

    def taken(self, memory_limit: float | None) -> Taken:
        """Resident memory is summed first. It counts shared pages for each process, so only where that
        is over the limit the proportional sizes are added up, which costs more.
        """
        pids = [pid for pid, _ in self.alive()]
        each = [tree.taken(pid) for pid in pids]
        memory = sum(resident for _, resident in each)
        if memory_limit is not None and memory > memory_limit:
            memory = sum(_proportional(pid, resident) for pid, (_, resident) in zip(pids, each, strict=True))
        return Taken(memory, self.cpu_seconds + sum(cpu for cpu, _ in each), len(pids))


def _proportional(pid: int, resident: int) -> int:
    """PSS; `resident` where it may not be read."""
    kilobytes = figure(f"/proc/{pid}/smaps_rollup", b"Pss:")
    return resident if kilobytes is None else kilobytes * 1024


def _peak(pid: int) -> int:
    return (figure(f"/proc/{pid}/status", b"VmHWM:") or 0) * 1024

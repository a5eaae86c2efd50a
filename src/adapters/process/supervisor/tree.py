"""The tree of processes below one process, as the kernel says, not as the programs say."""

import os
import signal

from adapters.process.supervisor.kernel import LINUX

Entry = tuple[int, bytes, int]
"""Parent, state (`R`, `Z`, …) and start time in clock ticks."""
Identity = tuple[int, int]
"""A pid and its start time: a pid alone may have passed to another process meanwhile."""

DEAD = (b"Z", b"X")
MOST_NAMES = 20
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def snapshot() -> dict[int, Entry]:
    """All processes that this one can see. One pass, so it may miss what forks meanwhile: loop."""
    if not LINUX:
        return _snapshot_of_ps()
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (entry := entry_of(int(name))):
            found[int(name)] = entry
    return found


def entry_of(pid: int) -> Entry | None:
    """None when there is no such process."""
    if (fields := _stat(pid)) is None:
        return None
    return int(fields[1]), fields[0], int(fields[19])


def taken(pid: int) -> tuple[float, int]:
    """Seconds of processor time, with that of the children it has waited for, and resident bytes."""
    if (fields := _stat(pid)) is None:
        return 0.0, 0
    return sum(map(int, fields[11:15])) / _TICKS, int(fields[21]) * _PAGE


def _stat(pid: int) -> list[bytes] | None:
    """/proc/PID/stat from the state on (proc(5)), or None when there is no such process."""
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        stat = os.read(file, 1024)
    except OSError:
        return None
    finally:
        os.close(file)
    # The name is in parentheses, may hold spaces and parentheses itself, and precedes all that we need.
    return stat[stat.rindex(b")") + 2 :].split()


def below(root: int, processes: dict[int, Entry]) -> list[Identity]:
    """Every live descendant of `root`; a zombie is dead, but its children are walked."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    found, rest = [], [root]
    while rest:
        for pid in children.get(rest.pop(), ()):
            rest.append(pid)
            _, state, started = processes[pid]
            if state not in DEAD:
                found.append((pid, started))
    return found


def names(processes: list[Identity]) -> list[str]:
    """`4711 redis-server`, as far as they can be read; of many the first."""
    return [f"{pid} {_name(pid)}".strip() for pid, _ in processes[:MOST_NAMES]]


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


def send(process: Identity, *numbers: int) -> bool:
    """Signals that process and never another one that got its pid: the pidfd holds on to whom it was
    opened for, and the start time says who that is.
    """
    pid, started = process
    if not LINUX:
        return _kill(pid, *numbers)
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        entry = entry_of(pid)
        if entry is None or entry[2] != started:
            return False
        for number in numbers:
            signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _kill(pid: int, *numbers: int) -> bool:
    try:
        for number in numbers:
            os.kill(pid, number)
    except OSError:
        return False
    return True


def _snapshot_of_ps() -> dict[int, Entry]:
    """Where there is no /proc (macOS). Start times are not told there: the containment is best effort."""
    with os.popen("/bin/ps -A -o pid=,ppid=,state=") as listing:  # noqa: S605 - a constant
        rows = [line.split() for line in listing]
    return {int(pid): (int(parent), state[:1].encode(), 0) for pid, parent, state in rows}

"""How the limits of one tree are kept: memory by the kernel where that can be had, the rest by looking."""

from adapters.process.supervisor import kernel, limits
from adapters.process.supervisor.descendants import Descendants
from adapters.process.supervisor.launch import Launch
from adapters.process.supervisor.memory_group import MemoryGroup


class Enforcement:
    """`how` is domain.attempt.Exit.limits: never more than is true."""

    def __init__(self, launch: Launch, machine: kernel.OutOfMemory) -> None:
        self.how = limits.enforcement(launch.limits)
        self._polled = launch.limits
        self._memory: MemoryGroup | None = None
        self._machine = machine
        self._kills_before = machine.kills()
        most = launch.limits.get("memory_bytes")
        if launch.memory_group is None or most is None:
            return
        memory = MemoryGroup(launch.memory_group)
        if (kind := memory.limit(int(most))) is not None:
            self.how["memory_bytes"] = kind
            self._memory, self._polled = memory, {**launch.limits, "memory_bytes": None}

    @property
    def memory_group(self) -> str | None:
        """Which the program is to join."""
        return None if self._memory is None else self._memory.path

    @property
    def needs_looks(self) -> bool:
        return self._memory is not None or limits.are_polled(self._polled)

    def passed(self, tree: Descendants) -> str | None:
        """The domain.attempt.Stop for a limit that is passed."""
        if self.memory_is_passed:
            return "memory"
        return limits.exceeded(self._polled, tree.taken(self._polled.get("memory_bytes")))

    @property
    def memory_is_passed(self) -> bool:
        """The kernel has killed for it already: one process, or all."""
        return self._memory is not None and self._memory.oom_kills() > 0

    @property
    def oom_kills(self) -> int:
        """domain.attempt.Exit.oom_kills."""
        if self._memory is not None:
            return self._memory.oom_kills()
        return self._machine.kills() - self._kills_before

    def end(self) -> None:
        if self._memory is not None:
            self._memory.remove()

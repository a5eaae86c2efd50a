"""The control group in which a supervisor lives itself, so that what it starts is born there."""

import os
from contextlib import suppress

from adapters.process.supervisor.group import V2, Group


class Home(Group):
    """A group for one attempt after the other. Whoever finds it after its supervisor's death kills what is
    left in it, as in any group. Its supervisor has to leave it before that, and for good.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.is_left = False
        self._members = os.open(os.path.join(path, "cgroup.procs"), os.O_RDONLY | os.O_CLOEXEC)
        self._alone = b"%d\n" % os.getpid()

    @property
    def kind(self) -> str:
        return V2

    def make(self) -> str:
        """It is there as long as its supervisor is in it."""
        return V2

    def is_for(self, group: str) -> bool:
        """Whether it stands where the group of an attempt was to be made."""
        return not self.is_left and os.path.dirname(self.path) == os.path.dirname(group)

    def kill(self) -> None:
        if self._leave():
            super().kill()

    def clear(self) -> int:
        """It stays where nobody else is in it, nor a group below it."""
        if self._is_ours_alone():
            return 0
        return super().clear() if self._leave() else len(self.processes()) - 1

    def _is_ours_alone(self) -> bool:
        with suppress(OSError):
            alone = os.pread(self._members, 64, 0) == self._alone
            return alone and os.stat(self.path).st_nlink == 2  # noqa: PLR2004 - its own name, and `.`
        return False

    def _leave(self) -> bool:
        """To where the worker lives, above the place for all groups."""
        if not self.is_left:
            with suppress(OSError):
                Group(os.path.dirname(os.path.dirname(self.path))).join()
                self.is_left = True
        return self.is_left

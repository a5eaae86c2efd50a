"""The control groups of supervisors (home.py), as their zygote makes and removes them."""

import os
from contextlib import suppress

from adapters.process.supervisor.group import V2, Group


class Homes:
    """`groups`: where groups may be made; None: nowhere."""

    def __init__(self, groups: str | None) -> None:
        self._groups = groups
        self._made = 0
        self._vacant: list[str] = []

    def new(self) -> str | None:
        """Of version 2, where a process can be born in it: to move one later takes milliseconds (fork.py)."""
        if self._groups is None:
            return None
        self._made += 1
        group = Group(f"{self._groups}/supervisor-{os.getpid()}-{self._made}")
        if group.make() == V2:
            return group.path
        _remove(group.path)
        return None

    def vacate(self, home: str | None) -> None:
        """Its supervisor is dead."""
        if home is not None:
            self._vacant.append(home)

    def remove_vacant(self) -> None:
        """What cannot be removed is for the worker, who clears the groups of its attempts."""
        while self._vacant:
            _remove(self._vacant.pop())

    def close(self) -> None:
        """Another life on the same run directory makes the place again when it needs it."""
        if self._groups is not None:
            _remove(self._groups)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.rmdir(path)

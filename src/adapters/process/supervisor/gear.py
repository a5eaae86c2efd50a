"""What a supervisor's process has for one attempt after the other."""

from typing import NamedTuple

from adapters.process.supervisor import limits
from adapters.process.supervisor.ears import Ears
from adapters.process.supervisor.group import Group
from adapters.process.supervisor.home import Home
from adapters.process.supervisor.kernel import (
    LINUX,
    Fuse,
    OutOfMemory,
    become_subreaper,
    forbid_new_privileges,
)
from adapters.process.supervisor.launch import Launch
from adapters.process.supervisor.leash import Leash
from adapters.process.supervisor.oom_score import OomScore
from adapters.process.supervisor.wakeup import Wakeup


class Gear(NamedTuple):
    """`reaps`: whether all descendants stay below this process. `leash`: None where the kernel has none,
    `home` where no group may be made.
    """

    ears: Ears
    reaps: bool
    fuse: Fuse
    memory: OutOfMemory
    score: OomScore
    leash: Leash | None
    home: Home | None

    def placed(self, launch: Launch) -> Launch:
        """With the group in which its program will be: this one, if that can be spawned here."""
        if launch.group is None or self.home is None or not self.spawns(launch):
            return launch
        return launch._replace(group=self.home.path)

    def spawns(self, launch: Launch) -> bool:
        """Whether nothing has to be done between fork and exec."""
        if self.leash is None or launch.user is not None or limits.are_inherited(launch.limits):
            return False
        return launch.group is None or (self.home is not None and self.home.is_for(launch.group))

    def group_of(self, launch: Launch) -> Group | None:
        if self.home is not None and launch.group == self.home.path:
            return self.home
        return None if launch.group is None else Group(launch.group)

    @property
    def is_worn(self) -> bool:
        """Whether it can be of no more use."""
        return self.home is not None and self.home.is_left


def make(home: str | None) -> Gear:
    """In a process that does nothing else, and has no secrets yet."""
    forbid_new_privileges()
    ears, wakeup = Ears(), Wakeup()
    ears.on(wakeup.fileno(), lambda _: wakeup.clear())
    return Gear(
        ears,
        become_subreaper(),
        Fuse(),
        OutOfMemory(),
        OomScore(),
        _leash(),
        None if home is None else Home(home),
    )


def _leash() -> Leash | None:
    try:
        return Leash() if LINUX else None
    except OSError:
        return None

"""What every attempt of this worker is given beside its launch: a control group, a user."""

import hashlib
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.process.supervisor.group import V1, V2, Group
from adapters.process.supervisor.launch import User
from adapters.process.supervisor.memory_group import MemoryGroup
from domain.errors import WrongSetting

_PROBE_SECONDS: Final = 5.0
_PROBE_BYTES: Final = 2**30


@dataclass(frozen=True, slots=True)
class Means:
    """`groups` is the directory in which each attempt gets its control group, `memory` the one for groups
    that limit memory; None: there are none.
    """

    groups: Path | None = None
    memory: Path | None = None
    user: User | None = None
    home: str | None = None

    def group_of(self, name: str) -> str | None:
        return None if self.groups is None else f"{self.groups}/{name}"

    def memory_group_of(self, name: str) -> str | None:
        return None if self.memory is None else f"{self.memory}/{name}"

    def leave(self) -> None:
        """Removes both, unless something is in them yet."""
        for directory in (self.groups, self.memory):
            with suppress(OSError):
                if directory is not None:
                    directory.rmdir()

    def environment(self, given: dict[str, str]) -> dict[str, str]:
        """Another user is at home elsewhere: our own HOME, passed through, would be of no use to it."""
        if self.home is None or given.get("HOME") != os.environ.get("HOME"):
            return given
        return {**given, "HOME": self.home}


def means_of(run_directory: Path, user: str | None, kinds: tuple[str, ...] = (V2, V1)) -> Means:
    """Raises WrongSetting. `kinds` of control groups are tried in turn."""
    name = _name(run_directory)
    groups = _groups(name, kinds)
    if groups is not None:
        _tidy(groups)
    memory = _memory(name, groups, kinds)
    if user is None:
        return Means(groups=groups, memory=memory)
    account = _account(user)
    members = os.getgrouplist(account.pw_name, account.pw_gid)
    whom: User = {"uid": account.pw_uid, "gid": account.pw_gid, "groups": members}
    return Means(groups=groups, memory=memory, user=whom, home=account.pw_dir)


def _account(name: str) -> pwd.struct_passwd:
    if os.geteuid() != 0:
        raise WrongSetting(
            "process.user: only root can run programs as another user; unset it, or start as root."
        )
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise WrongSetting(f"process.user: this machine has no user {name}.") from None


def _name(run_directory: Path) -> str:
    """That of the run directory, so that the next worker on it finds the same place."""
    return "etl-" + hashlib.sha256(os.fsencode(run_directory)).hexdigest()[:16]


def _memory(name: str, groups: Path | None, kinds: tuple[str, ...]) -> Path | None:
    """With version 2 the groups themselves, where somebody has enabled the controller for them: a worker
    that did that would have to move itself first. With version 1 a place in the controller's hierarchy.
    """
    places = [groups] if groups is not None else []
    if V1 in kinds:
        places += [place / name for kind, place in _own_groups("memory") if kind == V1]
    for place in places:
        probe = MemoryGroup(str(place / f"probe-{os.getpid()}"))
        keeps = probe.limit(_PROBE_BYTES) is not None
        probe.remove()
        if keeps:
            _tidy(place)
            return place
        if place != groups:
            with suppress(OSError):
                place.rmdir()
    return None


def _tidy(place: Path) -> None:
    """Groups that a killed supervisor left, as far as nothing is in them."""
    for group in place.iterdir():
        with suppress(OSError):
            group.rmdir()


def _groups(name: str, kinds: tuple[str, ...]) -> Path | None:
    places = dict(_own_groups())
    for kind in kinds:
        if kind in places and _kills(places[kind] / name, kind):
            return places[kind] / name
        with suppress(OSError, KeyError):
            (places[kind] / name).rmdir()
    return None


def _kills(groups: Path, kind: str) -> bool:
    """Tried on a process of our own, since permissions, versions and mounts differ in too many ways."""
    probe = Group(str(groups / f"probe-{os.getpid()}"))
    if probe.make() != kind:
        return False
    try:
        with subprocess.Popen(("/bin/cat",), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={}) as cat:
            try:
                probe.join(cat.pid)
                probe.kill()
                return cat.wait(_PROBE_SECONDS) < 0
            finally:
                cat.kill()
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        probe.clear()


def _own_groups(controller: str = "freezer") -> Iterator[tuple[str, Path]]:
    """This process's group in the hierarchy of version 2, and in that of a controller of version 1."""
    own = {V2: "/", V1: "/"}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                own[V2] = path
            elif controller in controllers.split(","):
                own[V1] = path
        for kind, root, mount in _mounts(controller):
            yield kind, Path(mount, own[kind].removeprefix(root.rstrip("/")).lstrip("/"))


def _mounts(controller: str) -> Iterator[tuple[str, str, str]]:
    """Kind, root within the hierarchy, and mount point (proc_pid_mountinfo(5))."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split()[:3]
        if kind == "cgroup2":
            yield V2, fields[3], fields[4]
        elif kind == "cgroup" and controller in options.split(","):
            yield V1, fields[3], fields[4]

"""Machines of a test: network namespaces on one switch, and cables that can be pulled.

Needs root and Linux. What is started `on` a machine has that machine's network and nothing else of it: the
file system is shared, as a network file system would be.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

CLONE_NEWNET: Final = 0x40000000
NUMBERS: Final = count(1)
OWN: Final = Path("/proc/thread-self/ns/net")


def why_not() -> str | None:
    """Why this machine cannot have such networks; None if it can."""
    if not OWN.exists() or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if shutil.which("ip") is None:
        return "network namespaces are made with `ip` (iproute2), which is not installed"
    name = f"etl{os.getpid()}-probe"
    try:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "add", "switch", "type", "bridge")
    except subprocess.CalledProcessError as error:
        return f"the kernel refuses network namespaces with a bridge: {error.stderr.decode().strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None


@dataclass(frozen=True)
class Machine:
    name: str
    address: str
    hardware: str

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Programs that this thread starts, and sockets that it opens, are those of the machine."""
        with OWN.open() as back, Path("/run/netns", self.name).open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(back.fileno())


@dataclass
class Network:
    """A switch, in a namespace of its own, and what is plugged into it."""

    switch: str = field(default_factory=lambda: f"etl{os.getpid()}-{next(NUMBERS)}")
    machines: list[Machine] = field(default_factory=list)

    def __post_init__(self) -> None:
        _ip("netns", "add", self.switch)
        self._on_switch("link", "add", "switch", "type", "bridge")
        self._on_switch("link", "set", "switch", "up")

    def plug_in(self, name: str) -> Machine:
        """A machine that reaches all others, and knows their hardware addresses without asking: a cut
        is then packets that vanish, and never an answer `no route to host`.
        """
        number = len(self.machines) + 1
        machine = Machine(f"{self.switch}-{name}", f"10.77.0.{number}", f"02:00:00:00:00:{number:02x}")
        _ip("netns", "add", machine.name)
        end = ("type", "veth", "peer", "name", name, "netns", self.switch)
        _ip("-n", machine.name, "link", "add", "cable", "address", machine.hardware, *end)
        _ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", "cable")
        for device in ("lo", "cable"):
            _ip("-n", machine.name, "link", "set", device, "up")
        self._on_switch("link", "set", name, "master", "switch", "up")
        for other in self.machines:
            _introduce(machine, other)
            _introduce(other, machine)
        self.machines.append(machine)
        return machine

    def cut(self, name: str) -> None:
        """From now on what it sends, and what is sent to it, is dropped. Nobody is told."""
        self._on_switch("link", "set", name, "nomaster")

    def mend(self, name: str) -> None:
        self._on_switch("link", "set", name, "master", "switch")

    def remove(self) -> None:
        """The sockets of programs that still live there keep what they need of it."""
        for name in (*(machine.name for machine in self.machines), self.switch):
            _ip("netns", "del", name)

    def _on_switch(self, *arguments: str) -> None:
        _ip("-n", self.switch, *arguments)


def _introduce(machine: Machine, to: Machine) -> None:
    neighbour = ("neighbour", "add", to.address, "lladdr", to.hardware, "nud", "permanent", "dev", "cable")
    _ip("-n", machine.name, *neighbour)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _enter(descriptor: int) -> None:
    """setns(2) of this thread; `os.setns` came with Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")

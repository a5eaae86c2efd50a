"""Several workers on one machine: each has a run directory of its own, named by a number."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from adapters.process.run_directory import RunDirectory
from domain.errors import Unavailable

_LOCK_SECONDS: Final = 10.0
_LOCK_PAUSE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Seat:
    """A run directory that no other living worker has. `lock` goes to the zygote too."""

    directory: RunDirectory
    claim: int
    lock: int

    def leave(self) -> None:
        os.close(self.lock)
        os.close(self.claim)


async def first_free(root: Path) -> Seat:
    """The lowest number that no living worker has, so that a worker that starts again finds what it left."""
    for number in count(1):
        if (seat := await _taken(RunDirectory(root / str(number)))) is not None:
            return seat
    raise AssertionError  # count has no end


async def abandoned(root: Path) -> list[Seat]:
    """All other directories whose workers have died, taken too: somebody must finish what runs there."""
    return [seat for directory in _numbered(root) if (seat := await _taken(directory)) is not None]


async def _taken(directory: RunDirectory) -> Seat | None:
    directory.make()
    if (claim := directory.claim()) is None:
        return None
    return Seat(directory, claim, await _locked(directory))


async def _locked(directory: RunDirectory) -> int:
    """A dead worker's zygote holds the lock until it has seen that its worker is gone."""
    until = asyncio.get_running_loop().time() + _LOCK_SECONDS
    while (lock := directory.lock()) is None:
        if asyncio.get_running_loop().time() > until:
            raise Unavailable("The zygote of a dead worker does not let go of its run directory.")
        await asyncio.sleep(_LOCK_PAUSE)
    return lock


def _numbered(root: Path) -> Iterator[RunDirectory]:
    numbers = sorted(int(entry.name) for entry in root.iterdir() if entry.name.isdecimal())
    return (RunDirectory(root / str(number)) for number in numbers)

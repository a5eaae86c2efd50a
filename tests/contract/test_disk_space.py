"""DiskSpace: what every way to ask for free room promises."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.filesystem.disk_space import FilesystemDiskSpace
from adapters.memory.disk_space import MemoryDiskSpace
from application.ports.disk_space import DiskSpace
from domain.errors import DiskUnavailable

Make = Callable[[Path], DiskSpace]


@pytest.mark.parametrize("make", [FilesystemDiskSpace, lambda _: MemoryDiskSpace()])
async def test_free_bytes_are_counted(make: Make, tmp_path: Path) -> None:
    disk = make(tmp_path)
    assert await disk.free_bytes() > 0
    assert await disk.free_bytes() > 0


@pytest.mark.parametrize(
    "make", [lambda path: FilesystemDiskSpace(path, path / "none"), lambda _: MemoryDiskSpace(None)]
)
async def test_a_disk_that_cannot_be_asked_is_unavailable(make: Make, tmp_path: Path) -> None:
    with pytest.raises(DiskUnavailable):
        await make(tmp_path).free_bytes()

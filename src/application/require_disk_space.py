"""No attempt begins on a disk that is nearly full."""

from dataclasses import dataclass

from application.ports.disk_space import DiskSpace
from domain.errors import DiskNearlyFull


@dataclass(frozen=True, slots=True)
class RequireDiskSpace:
    """What runs already goes on: its log says what it lost if the disk becomes full."""

    disk: DiskSpace
    floor_bytes: int

    async def __call__(self) -> None:
        """Raises DiskNearlyFull, DiskUnavailable."""
        free = await self.disk.free_bytes()
        if free < self.floor_bytes:
            raise DiskNearlyFull(
                f"{free // 2**20} MiB of disk are free, and no attempt starts below"
                f" {self.floor_bytes // 2**20} MiB (`retention.disk_floor`)."
            )

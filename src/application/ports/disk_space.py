"""How much room there is for what attempts write."""

from typing import Protocol


class DiskSpace(Protocol):
    """Of the disks that hold logs and data; the fullest counts."""

    async def free_bytes(self) -> int:
        """At most a second old. Raises DiskUnavailable where a disk does not answer."""

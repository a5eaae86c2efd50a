"""A disk of a size that the test chooses."""

from domain.errors import DiskUnavailable


class MemoryDiskSpace:
    """DiskSpace."""

    def __init__(self, free: int | None = 2**40) -> None:
        self.free = free

    async def free_bytes(self) -> int:
        if self.free is None:
            raise DiskUnavailable("The disk does not answer.")
        return self.free

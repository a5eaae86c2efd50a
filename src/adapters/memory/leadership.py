"""Leadership within one process: the first to ask leads until it resigns."""

from adapters.memory.records import Records


class MemoryLeadership:
    """Leadership."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def campaign(self) -> bool:
        if self._records.leader is None:
            self._records.leader = self
        return self._records.leader is self

    async def resign(self) -> None:
        if self._records.leader is self:
            self._records.leader = None

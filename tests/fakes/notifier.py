"""A notifier that remembers what was published."""

from adapters.memory.notifier import MemoryNotifier
from adapters.memory.records import Records
from application.ports.notifier import Notice


class RecordingNotifier(MemoryNotifier):
    """Notifier. `published` holds every notice, in order."""

    def __init__(self, records: Records) -> None:
        super().__init__(records)
        self.published: list[Notice] = []

    def publish(self, *notices: Notice) -> None:
        self.published += notices
        super().publish(*notices)

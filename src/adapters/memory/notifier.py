"""Wake-ups within one process: every notifier on the same records hears every other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.memory.records import Records
from application.asking.inbox import Inbox
from application.ports.notifier import Notice, Subscription, Wanted, every


class MemoryNotifier:
    """Notifier."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def publish(self, *notices: Notice) -> None:
        for inbox in self._records.inboxes:
            inbox.put(notices)

    @asynccontextmanager
    async def subscribe(self, wanted: Wanted = every) -> AsyncIterator[Subscription]:
        inbox = Inbox(wanted)
        self._records.inboxes.add(inbox)
        try:
            yield inbox
        finally:
            self._records.inboxes.remove(inbox)

"""Who listens in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

from application.asking.inbox import Inbox
from application.ports.notifier import Notice, Wanted


class Subscriptions:
    """All of them; each gets the notices that it wants."""

    def __init__(self) -> None:
        self._all: set[Inbox] = set()

    def put(self, notices: frozenset[Notice]) -> None:
        for inbox in self._all:
            inbox.put(notices)

    @contextmanager
    def new(self, wanted: Wanted) -> Iterator[Inbox]:
        inbox = Inbox(wanted)
        self._all.add(inbox)
        try:
            yield inbox
        finally:
            self._all.discard(inbox)

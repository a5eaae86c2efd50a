"""The descriptors that a supervisor listens to, and what each is heard by."""

import select
from collections.abc import Callable


class Ears:
    """poll(2) for one thread. One for all attempts of a process."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._heard: dict[int, Callable[[int], None]] = {}

    def on(self, descriptor: int, heard: Callable[[int], None]) -> None:
        """`heard` gets the events (poll(2)) each time that there is something to read, or the end."""
        self._heard[descriptor] = heard
        self._poll.register(descriptor, select.POLLIN)

    def off(self, descriptor: int) -> None:
        """Before it is closed. May be called again."""
        if self._heard.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def listen(self, nanoseconds: int) -> None:
        """Until something was heard, or for so long."""
        for descriptor, events in self._poll.poll(nanoseconds / 1e6 + 0.1):
            if (heard := self._heard.get(descriptor)) is not None:  # what was heard before may have ended it
                heard(events)

"""A log as one document: what is kept of it, with a line where bytes were cut."""

from collections.abc import Iterator
from dataclasses import dataclass

from domain.log import Extent, cut_note


@dataclass(frozen=True, slots=True)
class ShownLog:
    """What is kept from the byte `begin` of what was written on. A span of it counts the shown bytes."""

    extent: Extent
    begin: int = 0

    @property
    def head(self) -> range:
        """The written bytes before the cut."""
        return range(min(self.begin, self.extent.head), self.extent.head)

    @property
    def note(self) -> bytes:
        """Nothing where all is kept, or what is shown begins behind the cut."""
        whole = self.extent.cut == 0 or self.begin >= self.extent.tail
        return b"" if whole else f"\n{cut_note(self.extent.cut)}\n".encode()

    @property
    def tail(self) -> range:
        """The written bytes behind the cut."""
        return range(min(max(self.begin, self.extent.tail), self.extent.size), self.extent.size)

    @property
    def length(self) -> int:
        return len(self.head) + len(self.note) + len(self.tail)

    def pieces(self, span: range) -> Iterator[range | bytes]:
        """Ranges of the written bytes, and the bytes of the note."""
        for piece in (self.head, self.note, self.tail):
            inside = piece[max(span.start, 0) : max(span.stop, 0)]
            if inside:
                yield inside
            span = range(span.start - len(piece), span.stop - len(piece))

    @classmethod
    def of_written(cls, extent: Extent, written: range) -> tuple["ShownLog", range, range]:
        """Shows these written bytes: the document, the span of it, and which of the bytes these are.

        Not beyond the cut from before it. From within the cut: its rest as a note, and what follows.
        """
        start, stop = written.start, min(written.stop, extent.size)
        if start < extent.head:
            stop = min(stop, extent.head)
            return cls(extent, start), range(stop - start), range(start, stop)
        if start >= extent.tail:
            return cls(extent, start), range(stop - start), range(start, stop)
        shown = cls(Extent(start, extent.tail, extent.size), start)
        stop = max(stop, extent.tail)
        return shown, range(len(shown.note) + stop - extent.tail), range(extent.tail, stop)

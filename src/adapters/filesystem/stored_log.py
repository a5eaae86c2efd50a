"""One log as it stands at one moment: all of it, or its head and its tail with a cut between them."""

import os
from pathlib import Path
from typing import Final

from adapters.filesystem.indexed_log import IndexedLog
from adapters.filesystem.log_files import LogAndIndex
from adapters.filesystem.log_paths import COMPRESSED, compressed_path
from adapters.filesystem.log_search import Search
from adapters.filesystem.seekable_zstd import SeekableZstd
from domain.errors import LogNotFound
from domain.log import Extent, Page, cut_note
from domain.log_index import part_name, part_offset
from domain.log_reading import LogCursor, PageFiller

_TRIES: Final = 20


class StoredLog:
    """Raises LogNotFound on opening. Keeps its files open, so parts that are deleted stay readable."""

    def __init__(self, path: Path) -> None:
        self._head, self._tail = _opened(path)

    @property
    def size(self) -> int:
        return self._tail.size

    def size_of(self, stream: int | None) -> int:
        return self._tail.size_of(stream)

    def extent(self, stream: int | None) -> Extent:
        size = self.size_of(stream)
        if self._head is self._tail:
            return Extent(size, size, size)
        return Extent(self._head.size_of(stream), self._tail.start_of(stream), size)

    def piece(self, start: int, stop: int, stream: int | None) -> bytes:
        """Fewer at the end of the log and at the cut; none within the cut."""
        if self._head is self._tail or start < self._head.size_of(stream):
            return self._head.piece(start, stop, stream)
        return self._tail.piece(start, stop, stream) if start >= self._tail.start_of(stream) else b""

    def page(
        self, after: str | None, limit: int, stream: int | None, *, final: bool, contains: str | None = None
    ) -> Page:
        filler = PageFiller(LogCursor.parse(after, self.size), limit)
        search = Search(contains) if contains else None
        if self._head is not self._tail:
            self._fill_to_the_cut(filler, limit, stream, search)
        if not filler.full and (search is None or search.stopped_at is None):
            self._tail.fill(filler, limit, stream, final=final, search=search)
        more = filler.full or (search is not None and search.stopped_at is not None)
        return filler.page(self.size, more=more)

    def tail(self, count: int, stream: int | None) -> tuple[LogCursor, int]:
        """Where the last `count` lines begin; a line without newline counts, and so does that of the cut."""
        cursor, offset, missing = self._tail.tail(count, stream)
        if missing <= 0 or self._head is self._tail:
            return cursor, offset
        return self._head.tail(missing - 1, stream)[:2]

    def _fill_to_the_cut(
        self, filler: PageFiller, limit: int, stream: int | None, search: Search | None
    ) -> None:
        if filler.cursor.offset >= self._tail.start:
            return
        if filler.cursor.offset <= self._head.size:
            self._head.fill(filler, limit, stream, final=True, search=search)
        if filler.full or (search is not None and search.stopped_at is not None):
            return
        if search is not None:
            filler.cursor = LogCursor(offset=self._tail.start)
            return
        begin = self._tail.beginning
        # A reader who was here when less was cut has seen more than the head.
        note = cut_note(begin.offset - max(filler.cursor.offset, self._head.size))
        filler.add_cut(note, begin.lines, begin.at_us, begin.offset)


def size_on_disk(path: Path) -> int:
    """What was written so far, without opening it; -1 where there is no log."""
    parts = parts_of(path)
    last = part_path(path, parts[-1]) if parts else path
    try:
        return (parts[-1] if parts else 0) + _bytes_in(last)
    except OSError:
        return -1


def _bytes_in(file: Path) -> int:
    """Raises OSError."""
    try:
        return file.lstat().st_size
    except FileNotFoundError:
        return SeekableZstd(compressed_path(file)).size


def _opened(path: Path) -> tuple[IndexedLog, IndexedLog]:
    """Head and tail; the same where nothing was cut. A part may be deleted between the look and the
    opening: then all is looked at again.
    """
    for _ in range(_TRIES):
        # The names first: where a part is, what lies before it will not grow any more.
        parts = parts_of(path)
        head = LogAndIndex.opened(path)
        try:
            files = [(start, LogAndIndex.opened(part_path(path, start))) for start in parts]
        except LogNotFound:
            continue
        return _joined(head, files)
    raise LogNotFound("This log is cut faster than it can be opened. Read again.")


def _joined(head: LogAndIndex, parts: list[tuple[int, LogAndIndex]]) -> tuple[IndexedLog, IndexedLog]:
    """A power cut may have shortened any file but the last: the tail is what follows the last gap."""
    tail: list[LogAndIndex] = []
    wanted = None
    for start, file in reversed(parts):
        if wanted not in (None, start + file.log.size):
            break
        tail.insert(0, file)
        wanted = start
    if wanted in (None, head.log.size):
        whole = IndexedLog(head, *tail)
        return whole, whole
    return IndexedLog(head), IndexedLog(*tail, start=wanted or 0)


def parts_of(path: Path) -> list[int]:
    """Where the parts behind the head begin."""
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 - names, not paths: this runs for each look of a follower
    except OSError:
        return []
    offsets = (part_offset(path.name, name.removesuffix(COMPRESSED)) for name in names)
    return sorted({offset for offset in offsets if offset is not None})


def part_path(path: Path, start: int) -> Path:
    return path.with_name(part_name(path.name, start))

"""Writes a log the way a supervisor does: a run's record first, then the bytes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from domain.log import Stream
from domain.log_index import STREAMS, RunWriter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LogWriter:
    """`marks` are the sizes of log and index after each single write: every point of a crash."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._log = path.open("ab", buffering=0)
        self._index = path.with_suffix(".idx").open("ab", buffering=0)
        self._runs = RunWriter()
        self.marks = [(0, 0)]

    def write(self, stream: Stream, data: bytes, at: datetime = EPOCH) -> None:
        number, at_us = STREAMS.index(stream), (at - EPOCH) // timedelta(microseconds=1)
        if record := self._runs.record_for(number, at_us):
            self._index.write(record)
            self._mark()
        self._log.write(data)
        self._runs.wrote(number, at_us, data)
        self._mark()

    def close(self) -> None:
        self._log.close()
        self._index.close()

    def _mark(self) -> None:
        self.marks.append((self._log.tell(), self._index.tell()))

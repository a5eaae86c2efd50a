"""Where the lines of a log are, from the records of its index (domain/log_index.py).

- A line ends where its newline is; its number is the count of newlines in the file up to there.
- It belongs to the stream of the run that holds its newline, and its time is that run's.
- Its text is that stream's bytes since the stream's newline before, so a line that another stream
  interrupted is still one line.
"""

from dataclasses import dataclass

from domain.log_index import STREAMS, Record, Sums


@dataclass(slots=True, kw_only=True, eq=False)
class LineSpan:
    """Where a line is. `start` and `stop` (before its newline) count the bytes of its stream;
    `end` is the point of the file behind its newline.
    """

    number: int
    stream: int
    at_us: int
    start: int
    stop: int
    end: int


def completed(point: Record, data: bytes, limit: int) -> list[LineSpan]:
    """The first `limit` lines that end within `data`, the bytes of the point's run that follow it."""
    spans: list[LineSpan] = []
    total = point.totals[point.stream]
    start = point.line_start(point.stream)
    found = data.find(b"\n")
    while found >= 0 and len(spans) < limit:
        spans.append(
            LineSpan(
                number=point.lines + len(spans) + 1,
                stream=point.stream,
                at_us=point.at_us,
                start=start,
                stop=total + found,
                end=point.offset + found + 1,
            )
        )
        start = total + found + 1
        found = data.find(b"\n", found + 1)
    return spans


def unfinished(point: Record, at_us: Sums) -> list[LineSpan]:
    """The lines that have no newline, at the end of a log: in the order of the streams, not of time.
    They are numbered on from the finished ones. `at_us`: when each stream last wrote.
    """
    streams = [stream for stream in range(len(STREAMS)) if point.pending[stream]]
    return [
        LineSpan(
            number=point.lines + order,
            stream=stream,
            at_us=at_us[stream],
            start=point.line_start(stream),
            stop=point.totals[stream],
            end=point.offset,
        )
        for order, stream in enumerate(streams, 1)
    ]

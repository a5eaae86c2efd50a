"""Output for people and for programs."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, Final, Protocol, TypeVar

from entrypoints.colours import is_colourful

Item = TypeVar("Item")

_COLOURS: Final = {
    "queued": "36",
    "running": "34",
    "succeeded": "32",
    "failed": "31",
    "timed_out": "31",
    "lost": "35",
    "cancelled": "33",
    "up": "32",
    "draining": "33",
    "dead": "31",
}
# OSC 52 writes the clipboard, OSC 8 hides an address behind a text, CSI moves the cursor over what was
# printed before: a log must not do that to its reader. Of all escapes only colours (SGR) pass.
_ESCAPES: Final = re.compile(
    rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC
    rb"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    rb"|\x1b\[[0-?]*[ -/]*[@-ln-~]"  # CSI, but for SGR
    rb"|\x1b[^\[\]PX^_]"
    rb"|\xc2[\x80-\x9f]"  # the same as single characters (C1)
)
_BEGUN: Final = re.compile(rb"(?:\x1b(?:\[[0-?]{0,64}[ -/]{0,64})?|\xc2)\Z")


class Sink(Protocol):
    """Where bytes of a log go."""

    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> object: ...


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - the command's answer


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns; a word that is a state has its colour on a terminal."""
    lines = [[title.upper() for title in titles], *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    colourful = is_colourful(sys.stdout)
    for line in lines:
        padded = [_painted(cell, width, colourful) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(padded).rstrip())  # noqa: T201 - the command's answer


def print_list(
    found: Iterable[Item], titles: Sequence[str], row: Callable[[Item], Sequence[object]], *, as_json: bool
) -> None:
    """The answer of a command that lists: a table with a `row` an item, or all of them as JSON."""
    items = list(found)
    if as_json:
        print_json(items)
    else:
        print_table(titles, map(row, items))


def print_record(pairs: Iterable[tuple[str, object]]) -> None:
    """One `name  value` a line, without what is empty."""
    shown = [(name, _cell(value)) for name, value in pairs if value not in (None, "", [], {}, ())]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name:<{width}}  {_painted(value, 0, is_colourful(sys.stdout))}")  # noqa: T201 - as above


def say(message: str) -> None:
    """To the person, beside the answer."""
    print(f"etl: {message}", file=sys.stderr, flush=True)  # noqa: T201 - the command's own words


class Screen:
    """Writes what a program has written onto a terminal, without what could do more than show."""

    def __init__(self, terminal: BinaryIO) -> None:
        self._terminal = terminal
        self._begun = b""

    def write(self, data: bytes) -> None:
        """An escape that is cut in two is still one."""
        shown = _ESCAPES.sub(b"", self._begun + data)
        begun = _BEGUN.search(shown)
        self._begun = b"" if begun is None else begun[0]
        self._terminal.write(shown if begun is None else shown[: begun.start()])

    def flush(self) -> None:
        self._terminal.flush()


def instant(text: str | None) -> str:
    """An RFC 3339 instant to the second."""
    return "" if text is None else f"{text[:19]}Z".replace("T", " ")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return " ".join(f"{name}={_cell(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_cell, value))
    return "".join(c if c.isprintable() else "\ufffd" for c in str(value))


def _painted(cell: str, width: int, colourful: bool) -> str:  # noqa: FBT001 - a cell, its width, its colour
    padded = cell.ljust(width)
    return f"\x1b[{_COLOURS[cell]}m{padded}\x1b[0m" if colourful and cell in _COLOURS else padded

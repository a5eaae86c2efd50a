"""A header, as the document tells it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Header:
    """Of a request or of an answer. `pattern` is that of JSON Schema."""

    description: str
    example: str
    pattern: str | None = None

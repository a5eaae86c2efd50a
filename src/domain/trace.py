"""Where something stands in a distributed trace (W3C Trace Context, level 1)."""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Final, Self

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII
)
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span: hexadecimal ids of 32 and 16 digits. As text it is a `traceparent`."""

    trace_id: str
    span_id: str
    flags: int = 0

    @property
    def is_sampled(self) -> bool:
        """Whether somebody upstream decided that this trace is recorded."""
        return bool(self.flags & _SAMPLED)

    @classmethod
    def parse(cls, traceparent: str | None) -> Self | None:
        """None where it is none; of a later version what the first one knows."""
        found = _TRACEPARENT.fullmatch(traceparent or "")
        return cls(found[1], found[2], int(found[3], 16)) if found else None

    def child(self, key: str) -> Self:
        """A span below this one. The same key gives the same span in every process, so that a worker
        can name a span to a program and another worker, which adopts the program, can record it.
        """
        digest = hashlib.sha256(f"{self.trace_id}-{self.span_id}-{key}".encode()).hexdigest()
        return replace(self, span_id=digest[:16])

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

"""Spans of what this process did, for whoever collects traces. Nothing is ever decided by them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.trace import TraceContext


class SpanKind(StrEnum):
    """As OpenTelemetry names them."""

    SERVER = "server"
    CONSUMER = "consumer"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that has ended. `name` is of a small set: ids stand in `attributes`. `error` is what
    went wrong, in a sentence; None: nothing did.
    """

    context: TraceContext
    parent: TraceContext | None
    name: str
    kind: SpanKind
    began_at: datetime
    ended_at: datetime
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    error: str | None = None


class Tracer(Protocol):
    """A tracer that is off hands contexts on as they came and records nothing. All but `open` and
    `close` return at once, and never raise.
    """

    async def open(self) -> None: ...

    async def close(self) -> None:
        """Sends what waits, for a few seconds at most. May be called again."""

    def begin(self, parent: TraceContext | None) -> TraceContext:
        """A span of our own below `parent`, or the first of a new trace; decides whether it is recorded."""

    def below(self, parent: TraceContext, key: str) -> TraceContext:
        """`parent.child(key)` where it will be recorded, else `parent`: nobody is to be named a parent
        that does not come.
        """

    def record(self, span: Span) -> None:
        """Unless its trace is not sampled. What finds no room is dropped: nobody waits for a collector."""

"""Spans in a list."""

import secrets

from application.ports.tracer import Span
from domain.trace import TraceContext


class MemoryTracer:
    """Tracer. It is on: every trace that begins here is recorded, in `spans`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def begin(self, parent: TraceContext | None) -> TraceContext:
        if parent is None:
            return TraceContext(secrets.token_hex(16), secrets.token_hex(8), 1)
        return parent.child(secrets.token_hex(8)) if parent.is_sampled else parent

    def below(self, parent: TraceContext, key: str) -> TraceContext:
        return parent.child(key) if parent.is_sampled else parent

    def record(self, span: Span) -> None:
        if span.context.is_sampled:
            self.spans.append(span)

"""What traces are while nobody collects them: ids that go from hand to hand."""

import secrets

from application.ports.tracer import Span
from domain.trace import TraceContext


class NoTracer:
    """Tracer. It is off: a trace that begins here says that it is not recorded."""

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def begin(self, parent: TraceContext | None) -> TraceContext:
        return parent or TraceContext(secrets.token_hex(16), secrets.token_hex(8))

    def below(self, parent: TraceContext, key: str) -> TraceContext:  # noqa: ARG002 - the port's
        return parent

    def record(self, span: Span) -> None:
        pass

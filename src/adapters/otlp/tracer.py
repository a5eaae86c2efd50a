"""Spans to a collector, by OpenTelemetry's SDK: it reads the OTEL_* environment itself."""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from adapters.otlp.delivery import LAST_WORD_SECONDS, Delivery, aside
from application.ports.tracer import Span, SpanKind
from domain.trace import TraceContext

KINDS: Final = {
    SpanKind.SERVER: trace.SpanKind.SERVER,
    SpanKind.CONSUMER: trace.SpanKind.CONSUMER,
    SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class OtlpTracer:
    """Tracer. Spans wait in a bounded queue of the SDK, whose thread sends them.

    Between `open` and `close` spans are recorded, outside of it dropped.
    """

    def __init__(self, resource: Resource) -> None:
        self._ids = _ChosenIds()
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._tracer = self._provider.get_tracer("etl")
        self._is_open = False

    async def open(self) -> None:
        if not self._is_open:
            self._provider.add_span_processor(BatchSpanProcessor(_Told(OTLPSpanExporter())))
        self._is_open = True

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            with contextlib.suppress(TimeoutError):
                await aside(self._provider.shutdown, LAST_WORD_SECONDS)

    def begin(self, parent: TraceContext | None) -> TraceContext:
        trace_id = int(parent.trace_id, 16) if parent else self._ids.random.generate_trace_id()
        decision = self._provider.sampler.should_sample(_above(parent), trace_id, "request").decision
        span_id = self._ids.random.generate_span_id()
        return TraceContext(
            f"{trace_id:032x}", f"{span_id:016x}", int(decision is Decision.RECORD_AND_SAMPLE)
        )

    def below(self, parent: TraceContext, key: str) -> TraceContext:
        return parent.child(key) if parent.is_sampled else parent

    def record(self, span: Span) -> None:
        if not (self._is_open and span.context.is_sampled):
            return
        self._ids.chosen = span.context
        recorded = self._tracer.start_span(
            span.name,
            context=_above(span.parent),
            kind=KINDS[span.kind],
            attributes=span.attributes,
            start_time=_nanoseconds(span.began_at),
        )
        if span.error is not None:
            recorded.set_status(Status(StatusCode.ERROR, span.error))
        recorded.end(_nanoseconds(span.ended_at))


class _ChosenIds(IdGenerator):
    """The ids of the span that is being recorded; spans are recorded in one thread, one by one."""

    def __init__(self) -> None:
        self.random = RandomIdGenerator()
        self.chosen: TraceContext | None = None

    def generate_span_id(self) -> int:
        return int(self.chosen.span_id, 16) if self.chosen else self.random.generate_span_id()

    def generate_trace_id(self) -> int:
        return int(self.chosen.trace_id, 16) if self.chosen else self.random.generate_trace_id()


class _Told(SpanExporter):
    """The exporter of OTLP; what goes wrong is told once."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._delivery = Delivery("traces")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        self._delivery.done(well=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _above(parent: TraceContext | None) -> Context:
    """Empty where there is no parent, which is not the same as none given: that would be the thread's own."""
    if parent is None:
        return Context()
    context = SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
    )
    return trace.set_span_in_context(NonRecordingSpan(context), Context())


def _nanoseconds(at: datetime) -> int:
    """Whole numbers all the way: a float of seconds has no microseconds to spare."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000

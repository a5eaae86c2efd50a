"""Tracer: what every way to trace promises, the one that is off included."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from adapters.memory.tracer import MemoryTracer
from adapters.otlp.delivery import resource
from adapters.otlp.tracer import OtlpTracer
from adapters.system.tracer import NoTracer
from application.ports.tracer import Span, SpanKind, Tracer
from domain.trace import TraceContext
from tests.builders import NOON

KINDS: dict[str, Callable[[], Tracer]] = {
    "off": NoTracer,
    "memory": MemoryTracer,
    "otlp": lambda: OtlpTracer(resource("1", "test")),
}
ABOVE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)
UNSAMPLED = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 0)


@pytest.fixture(params=KINDS)
async def tracer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tracer]:
    # Nobody listens there: that must not show anywhere.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    made = KINDS[request.param]()
    await made.open()
    yield made
    await made.close()


def a_span(context: TraceContext) -> Span:
    return Span(
        context=context,
        parent=None,
        name="readJob",
        kind=SpanKind.SERVER,
        began_at=NOON,
        ended_at=NOON + timedelta(seconds=1),
        attributes={"http.response.status_code": 200},
        error="It went wrong.",
    )


def test_a_request_without_a_trace_begins_one_of_its_own(tracer: Tracer) -> None:
    one, other = tracer.begin(None), tracer.begin(None)
    assert TraceContext.parse(str(one)) == one
    assert one.trace_id != other.trace_id


@pytest.mark.parametrize("parent", [ABOVE, UNSAMPLED])
def test_a_request_within_a_trace_stays_in_it_and_keeps_its_decision(
    tracer: Tracer, parent: TraceContext
) -> None:
    begun = tracer.begin(parent)
    assert begun.trace_id == parent.trace_id
    assert begun.is_sampled == parent.is_sampled


def test_the_same_key_names_the_same_span_and_another_key_another(tracer: Tracer) -> None:
    below = tracer.below(ABOVE, "one")
    assert below == tracer.below(ABOVE, "one")
    assert below.trace_id == ABOVE.trace_id
    assert (below == ABOVE) == (tracer.below(ABOVE, "other") == below) == isinstance(tracer, NoTracer)


def test_nobody_is_named_as_a_parent_who_will_not_come(tracer: Tracer) -> None:
    assert tracer.below(UNSAMPLED, "one") == UNSAMPLED


async def test_recording_never_raises_before_during_and_after(tracer: Tracer) -> None:
    await tracer.open()
    tracer.record(a_span(ABOVE))
    tracer.record(a_span(UNSAMPLED))
    await tracer.close()
    tracer.record(a_span(ABOVE))
    await tracer.close()

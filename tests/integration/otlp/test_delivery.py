"""Spans and figures over OTLP, to a receiver that speaks the protocol, and to one that does not answer."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from adapters.otlp.delivery import resource
from adapters.otlp.figures import OtlpFigures
from adapters.otlp.tracer import OtlpTracer
from application.ports.tracer import Span, SpanKind
from domain.trace import TraceContext
from tests.architecture.sources import SRC
from tests.builders import NOON
from tests.integration.http.api import Api
from tests.otlp_receiver import Receiver, attributes, receiver

ABOVE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)
GENEROUS_SECONDS = 20.0


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        yield made


@pytest.fixture
async def tracer() -> AsyncIterator[OtlpTracer]:
    made = OtlpTracer(resource("1.2.3", "host:7"))
    await made.open()
    yield made
    await made.close()


def a_span(name: str = "attempt", error: str | None = None) -> Span:
    return Span(
        context=ABOVE.child(name),
        parent=ABOVE,
        name=name,
        kind=SpanKind.CONSUMER,
        began_at=NOON,
        ended_at=NOON + timedelta(seconds=1.5),
        attributes={"etl.queue": "night", "etl.attempt": 2},
        error=error,
    )


async def test_a_span_arrives_as_it_was_recorded(
    collector: Receiver, tracer: OtlpTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer.record(a_span(error="Exited with status 3."))
    await tracer.close()
    (span,) = collector.spans()
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == (
        "attempt",
        ABOVE.trace_id,
        ABOVE.span_id,
    )
    assert span.span_id.hex() == ABOVE.child("attempt").span_id
    assert attributes(span) == {"etl.queue": "night", "etl.attempt": 2}
    assert (span.status.code, span.status.message) == (2, "Exited with status 3.")
    assert span.start_time_unix_nano == int(NOON.timestamp()) * 10**9
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_500_000_000
    (told,) = collector.resources()
    assert (told["service.name"], told["service.version"]) == ("etl-orchestrator", "1.2.3")
    assert told["service.instance.id"] == "host:7"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
    assert resource("1", "i").attributes["service.name"] == "nightly"


async def test_a_first_span_has_no_parent_and_the_context_that_was_handed_on(
    collector: Receiver, tracer: OtlpTracer
) -> None:
    begun = tracer.begin(None)
    root = Span(
        context=begun,
        parent=None,
        name="submitJob",
        kind=SpanKind.SERVER,
        began_at=NOON,
        ended_at=NOON,
    )
    tracer.record(root)
    await tracer.close()
    (span,) = collector.spans()
    assert (span.trace_id.hex(), span.span_id.hex()) == (begun.trace_id, begun.span_id)
    assert span.parent_span_id == b""
    assert span.status.code == 0


async def test_the_sampler_of_the_environment_decides_where_a_trace_begins(
    collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    tracer = OtlpTracer(resource("1", "i"))
    await tracer.open()
    assert not tracer.begin(None).is_sampled
    assert tracer.begin(ABOVE).is_sampled
    await tracer.close()
    assert collector.spans() == []


async def test_every_figure_arrives_by_the_name_and_with_the_value_that_metrics_tells(
    collector: Receiver,
) -> None:
    api = Api()
    api.meters.claimed(0.002, [0.5, 700.0])
    api.meters.answered("submitJob", "POST", 201, 0.3)
    api.meters.submitted(7)
    exposition = api.use_cases().exposition
    figures = OtlpFigures(resource("1", "i"), exposition.families)
    await figures.open()
    await figures.close()
    await figures.close()
    told, here = collector.metrics(), await exposition.families()
    expected = {f.name + ("_total" if f.type == "counter" else "") for f in here if f.samples}
    assert set(told) == expected
    assert told["etl_jobs_submitted_total"].sum.data_points[0].as_double == 7
    assert told["etl_jobs_submitted_total"].sum.is_monotonic
    assert told["etl_disk_floor_bytes"].gauge.data_points[0].as_double == 1
    requests = told["etl_http_requests_total"].sum.data_points
    assert [attributes(p) for p in requests] == [
        {"method": "POST", "operation": "submitJob", "status": "201"}
    ]


async def test_a_histogram_arrives_with_the_count_between_two_bounds(collector: Receiver) -> None:
    api = Api()
    api.meters.claimed(0.002, [0.005, 0.5, 700.0, 1e9])
    figures = OtlpFigures(resource("1", "i"), api.use_cases().exposition.families)
    await figures.open()
    await figures.close()
    (point,) = collector.metrics()["etl_job_wait_seconds"].histogram.data_points
    between = dict(zip([*point.explicit_bounds, "more"], point.bucket_counts, strict=True))
    assert {bound: count for bound, count in between.items() if count} == {0.01: 1, 0.5: 1, 900: 1, "more": 1}
    assert point.count == 4
    assert not point.HasField("min")
    assert point.time_unix_nano > point.start_time_unix_nano > 0


async def test_figures_are_sent_again_and_again(collector: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
    figures = OtlpFigures(resource("1", "i"), Api().use_cases().exposition.families)
    await figures.open()
    await asyncio.to_thread(collector.until, lambda: len(collector._received["/v1/metrics"]) >= 3)
    await figures.close()


# -- a collector that is not there ------------------------------------------------------------------------


async def test_a_collector_that_is_away_is_told_once_and_once_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiver() as gone:
        port = gone.port
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    figures = OtlpFigures(resource("1", "i"), Api().use_cases().exposition.families)
    with capture_logs() as lines:
        for _ in range(3):
            await figures._send(GENEROUS_SECONDS)
        with receiver(port):
            for _ in range(2):
                await figures._send(GENEROUS_SECONDS)
    assert [(line["event"], line["signal"]) for line in lines] == [
        ("otlp_unavailable", "metrics"),
        ("otlp_back", "metrics"),
    ]


async def test_nobody_waits_for_a_collector_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiver(hold=True) as stuck:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", stuck.url)
        tracer = OtlpTracer(resource("1", "i"))
        figures = OtlpFigures(resource("1", "i"), Api().use_cases().exposition.families)
        await tracer.open()
        await figures.open()
        began = time.monotonic()
        for _ in range(10_000):  # more than its queue holds
            tracer.record(a_span())
        await figures.close()
        await tracer.close()
        assert time.monotonic() - began < GENEROUS_SECONDS
    assert capfd.readouterr().err == ""


def test_without_the_environment_nothing_of_opentelemetry_is_imported() -> None:
    program = f"""
import sys
sys.path.insert(0, {str(SRC)!r})
import entrypoints.lifespan
from entrypoints.container import Container
from entrypoints.container.outlets import figures_of
from entrypoints.settings import Settings
container = Container(settings=Settings(), database_url="postgresql://")
container.http_server(), container.worker(), container.tracer()
assert figures_of(container.use_cases().exposition.families) is None
heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "google", "requests")
print([name for name in sys.modules if name.startswith(heavy)])
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, env={}, check=False)
    assert (ended.stdout, ended.stderr) == (b"[]\n", b"")

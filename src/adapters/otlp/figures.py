"""The figures of /metrics to a collector, in the same words: one registry, two ways out."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

from adapters.otlp.delivery import LAST_WORD_SECONDS, Delivery, aside

CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
PATIENCE_SECONDS: Final = 30.0
"""More than the exporter's own deadline (OTEL_EXPORTER_OTLP_TIMEOUT, 10 s by default)."""


class OtlpFigures:
    """Every OTEL_METRIC_EXPORT_INTERVAL milliseconds (60,000) what `read` tells, and once at the end."""

    def __init__(self, resource: Resource, read: Callable[[], Awaitable[Iterable[Family]]]) -> None:
        self._resource = resource
        self._read = read
        self._began = time.time_ns()
        self._pause = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "60000")) / 1000
        self._exporter = OTLPMetricExporter()
        self._delivery = Delivery("metrics")
        self._loop: asyncio.Task[None] | None = None

    async def open(self) -> None:
        if self._loop is None:
            self._loop = asyncio.create_task(self._run(), name="otlp-figures")

    async def close(self) -> None:
        """May be called again."""
        if self._loop is None:
            return
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        self._loop = None
        await self._send(LAST_WORD_SECONDS)
        self._exporter.shutdown()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            await self._send(PATIENCE_SECONDS)

    async def _send(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):  # the exporter's thread goes on, and ends by itself
            async with asyncio.timeout(seconds):
                data = metrics_data(await self._read(), self._resource, self._began, time.time_ns())
                result = await aside(lambda: self._exporter.export(data), seconds)
            self._delivery.done(well=result is MetricExportResult.SUCCESS)
            return
        self._delivery.done(well=False)


def metrics_data(families: Iterable[Family], resource: Resource, began: int, now: int) -> MetricsData:
    """Prometheus' families as OTLP's; `began` and `now` are in nanoseconds."""
    times: dict[str, Any] = {"start_time_unix_nano": began, "time_unix_nano": now}
    metrics = [
        Metric(_name(family), family.documentation, "", _data(family, times))
        for family in families
        if family.samples
    ]
    scope = ScopeMetrics(InstrumentationScope("etl"), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _name(family: Family) -> str:
    """As /metrics has it, so that a query means the same whichever way a figure came."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def _data(family: Family, times: dict[str, Any]) -> Sum | Gauge | Histogram:
    if family.type == "histogram":
        return Histogram(list(_histograms(family, times)), CUMULATIVE)
    points = [NumberDataPoint(attributes=s.labels, value=float(s.value), **times) for s in family.samples]
    if family.type == "counter":
        return Sum(points, CUMULATIVE, is_monotonic=True)
    return Gauge(points)


def _histograms(family: Family, times: dict[str, Any]) -> Iterator[HistogramDataPoint]:
    """Prometheus counts what is at most a bound, OTLP what is between two."""
    for labels, samples in groupby(family.samples, _labels):
        found = list(samples)
        buckets = [(float(s.labels["le"]), int(s.value)) for s in found if s.name.endswith("_bucket")]
        counts = [after - before for (_, before), (_, after) in pairwise([(0.0, 0), *buckets])]
        unknown: Any = None  # Prometheus keeps no extremes, and OTLP need not have them
        yield HistogramDataPoint(
            attributes=dict(labels),
            count=sum(counts),
            sum=next(s.value for s in found if s.name.endswith("_sum")),
            bucket_counts=counts,
            explicit_bounds=[bound for bound, _ in buckets[:-1]],
            min=unknown,
            max=unknown,
            **times,
        )


def _labels(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))

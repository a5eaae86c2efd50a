"""Meters that Prometheus reads, and that go out over OTLP from the same registry."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from application.ports.meters import Gauge, Renewed
from domain.attempt import Ending

# A second series for each counter, which says when the process began: process_start_time_seconds does.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no annotation there

QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
ANSWER: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
LONG: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)

ENDS: Final = (
    ("succeeded", "exit"),
    ("failed", "exit"),
    ("failed", "signal"),
    ("failed", "could_not_start"),
    ("failed", "out_of_memory"),
    ("timed_out", "timeout"),
    ("cancelled", "cancelled"),
    ("lost", "lost"),
    ("lost", "lease_expired"),
)
"""Told as 0 from the start: Prometheus takes no increase from a series that begins with 1."""


COUNTERS: Final[Sequence[tuple[str, str, tuple[str, ...]]]] = (
    ("etl_jobs_submitted", "Jobs accepted.", ()),
    ("etl_jobs_claimed", "Jobs claimed.", ()),
    ("etl_attempts", "Attempts that ended, by outcome and the code of its reason.", ("outcome", "reason")),
    ("etl_attempts_rescued", "Attempts whose lease had expired: ended as lost, or put back.", ()),
    ("etl_log_bytes", "Bytes that ended attempts wrote.", ()),
    ("etl_log_lost_bytes", "Bytes of them that were not kept: cut at the limit, or the disk was full.", ()),
    ("etl_lease_renewals", "Renewals of the lease: in_time, late, failed or dead.", ("result",)),
    ("etl_http_requests", "Requests answered.", ("operation", "method", "status")),
)
"""Prometheus adds `_total` to their names."""

HISTOGRAMS: Final[Sequence[tuple[str, str, tuple[str, ...], Sequence[float]]]] = (
    ("etl_claim_seconds", "How long the queue took to answer a claim.", (), QUICK),
    ("etl_job_wait_seconds", "From when a job could have run to its claim.", (), LONG),
    ("etl_wakeup_seconds", "From a notice to the answer of the claim that it caused.", (), QUICK),
    ("etl_process_start_seconds", "From the order to start a program to its supervisor.", (), QUICK),
    ("etl_attempt_seconds", "How long programs ran.", (), LONG),
    (
        "etl_http_request_seconds",
        "Until an answer was sent whole, or its stream ended.",
        ("operation",),
        ANSWER,
    ),
)


class PrometheusMeters:
    """Meters. `registry` holds them, the `gauges`, and what the system tells of this process."""

    def __init__(self, gauges: Sequence[Gauge] = ()) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Gauges(gauges))
        self._counters = {
            name: Counter(name, meaning, labels, registry=registry) for name, meaning, labels in COUNTERS
        }
        self._histograms = {
            name: Histogram(name, meaning, labels, buckets=buckets, registry=registry)
            for name, meaning, labels, buckets in HISTOGRAMS
        }
        # A look-up of the labels takes three times as long as what is done with them, at each request.
        self._answers = cache(self._counters["etl_http_requests"].labels)
        self._answer_seconds = cache(self._histograms["etl_http_request_seconds"].labels)
        for how in Renewed:
            self._counters["etl_lease_renewals"].labels(how)
        for outcome, reason in ENDS:
            self._counters["etl_attempts"].labels(outcome, reason)

    def submitted(self, jobs: int) -> None:
        self._counters["etl_jobs_submitted"].inc(jobs)

    def claimed(self, seconds: float, waited: Sequence[float]) -> None:
        self._histograms["etl_claim_seconds"].observe(seconds)
        self._counters["etl_jobs_claimed"].inc(len(waited))
        for wait in waited:
            self._histograms["etl_job_wait_seconds"].observe(max(0.0, wait))

    def woken(self, seconds: float) -> None:
        self._histograms["etl_wakeup_seconds"].observe(seconds)

    def program_started(self, seconds: float) -> None:
        self._histograms["etl_process_start_seconds"].observe(seconds)

    def attempt_ended(self, ending: Ending) -> None:
        self._counters["etl_attempts"].labels(ending.outcome, ending.reason.code).inc()
        self._counters["etl_log_bytes"].inc(ending.exit.log_bytes)
        self._counters["etl_log_lost_bytes"].inc(ending.exit.log_lost_bytes)
        if ending.exit.usage is not None:
            self._histograms["etl_attempt_seconds"].observe(ending.exit.usage.wall_seconds)

    def rescued(self, attempts: int) -> None:
        self._counters["etl_attempts_rescued"].inc(attempts)

    def renewed(self, how: Renewed) -> None:
        self._counters["etl_lease_renewals"].labels(how).inc()

    def answered(self, operation: str, method: str, status: int, seconds: float) -> None:
        self._answers(operation, method, str(status)).inc()
        self._answer_seconds(operation).observe(seconds)


class _Gauges(Collector):
    def __init__(self, gauges: Sequence[Gauge]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels)
            for labels, value in gauge.read():
                family.add_metric([labels[name] for name in gauge.labels], value)
            yield family

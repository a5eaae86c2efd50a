"""The moment's figures in Prometheus' text format."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from litestar import Response
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from application.read_metrics import Metrics
from domain.access import Scope
from domain.errors import DatabaseUnavailable
from entrypoints.http.operation import Answer, Cases, operation

TEXT: Final = CONTENT_TYPE_PLAIN_0_0_4


def handlers_of(*, open_to_all: bool) -> tuple[HTTPRouteHandler, ...]:
    """Without a key where only this machine can ask."""

    @operation(
        "GET",
        "/metrics",
        id="metrics",
        tag="health",
        summary="Figures for Prometheus",
        scopes=() if open_to_all else (Scope.METRICS_READ,),
        answers=(Answer(200, "One moment, in the text format 0.0.4.", media="text/plain"),),
        errors=(DatabaseUnavailable,),
    )
    async def metrics(use_cases: Cases) -> Response[bytes]:
        """Depth and age of every queue, slots of every worker, and the oldest open transaction."""
        found = Figures(await use_cases.read_metrics(), datetime.now(UTC))
        registry = CollectorRegistry(auto_describe=False)
        registry.register(found)
        return Response(generate_latest(registry), media_type=TEXT)

    return (metrics,)


class Figures(Collector):
    """One scrape."""

    def __init__(self, metrics: Metrics, at: datetime) -> None:
        self._metrics = metrics
        self._at = at

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._queues()
        yield from self._workers()
        yield from self._horizon()

    def _queues(self) -> Iterator[GaugeMetricFamily]:
        jobs = GaugeMetricFamily("etl_queue_jobs", "Live jobs of a queue.", labels=["queue", "state"])
        age = GaugeMetricFamily(
            "etl_queue_oldest_waiting_seconds", "Since when the oldest job could have run.", labels=["queue"]
        )
        paused = GaugeMetricFamily("etl_queue_paused", "1 while it is paused.", labels=["queue"])
        for queue in self._metrics.queues:
            for state in ("waiting", "scheduled", "running"):
                jobs.add_metric([queue.name, state], getattr(queue, state))
            oldest = queue.oldest_waiting_since or self._at
            age.add_metric([queue.name], max(0.0, (self._at - oldest).total_seconds()))
            paused.add_metric([queue.name], queue.paused_at is not None)
        yield from (jobs, age, paused)

    def _workers(self) -> Iterator[GaugeMetricFamily]:
        slots = GaugeMetricFamily("etl_worker_slots", "Attempts at once.", labels=["worker"])
        running = GaugeMetricFamily("etl_worker_running", "Attempts now.", labels=["worker"])
        for worker in self._metrics.workers:
            slots.add_metric([worker.name], worker.slots)
            running.add_metric([worker.name], worker.running)
        yield from (slots, running)

    def _horizon(self) -> Iterator[GaugeMetricFamily]:
        oldest = GaugeMetricFamily(
            "etl_database_oldest_transaction_seconds",
            "How long the client that holds back vacuum has had its transaction open.",
            labels=["pid", "application", "state"],
        )
        if (holder := self._metrics.horizon) is not None:
            oldest.add_metric([str(holder.pid), holder.application_name, holder.state], holder.seconds)
        yield oldest

"""All figures of one moment: what this process counted, and what the database says of the installation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from application.ports.disk_space import DiskSpace
from application.read_metrics import Metrics, ReadMetrics
from domain.errors import DatabaseUnavailable, DiskUnavailable
from domain.queue import Queue
from domain.worker import Worker
from entrypoints.version import VERSION


@dataclass(frozen=True, slots=True)
class Exposition:
    """`read_metrics` is None in a process that leaves the installation's figures to others."""

    registry: CollectorRegistry
    read_metrics: ReadMetrics | None
    disk: DiskSpace
    floor_bytes: int

    async def families(self) -> tuple[Metric, ...]:
        """Without a database: this process's figures, and `etl_database_up` 0."""
        moment = [*await self._installation(), *await self._disk()]
        return (*self.registry.collect(), *moment, _one("etl_build_info", "1.", 1, version=VERSION))

    async def text(self) -> bytes:
        """In Prometheus' text format 0.0.4."""
        return generate_latest(_Found(await self.families()))

    async def _installation(self) -> Iterable[Metric]:
        if self.read_metrics is None:
            return ()
        try:
            found = await self.read_metrics()
        except DatabaseUnavailable:
            return (_database_up(0),)
        return (_database_up(1), *installation_figures(found, datetime.now(UTC)))

    async def _disk(self) -> Iterable[Metric]:
        floor = _one(
            "etl_disk_floor_bytes", "Below this much free disk no attempt is started.", self.floor_bytes
        )
        try:
            free = await self.disk.free_bytes()
        except DiskUnavailable:
            return (floor,)
        return _one("etl_disk_free_bytes", "Free on the fuller disk of logs and data.", free), floor


def installation_figures(found: Metrics, at: datetime) -> Iterator[Metric]:
    """The same from every process that asks: take the maximum over them, never the sum."""
    yield from _queues(found.queues, at)
    yield from _workers(found.workers)
    oldest = GaugeMetricFamily(
        "etl_database_oldest_transaction_seconds",
        "How long the client that holds back vacuum has had its transaction open.",
        labels=["pid", "application", "state"],
    )
    if (holder := found.horizon) is not None:
        oldest.add_metric([str(holder.pid), holder.application_name, holder.state], holder.seconds)
    yield oldest


def _queues(queues: Iterable[Queue], at: datetime) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("etl_queue_jobs", "Live jobs of a queue.", labels=["queue", "state"])
    age = GaugeMetricFamily(
        "etl_queue_oldest_waiting_seconds", "Since when the oldest job could have run.", labels=["queue"]
    )
    paused = GaugeMetricFamily("etl_queue_paused", "1 while it is paused.", labels=["queue"])
    slots = GaugeMetricFamily("etl_queue_slots", "Its limit, if it has one.", labels=["queue"])
    for queue in queues:
        for state in ("waiting", "scheduled", "running"):
            jobs.add_metric([queue.name, state], getattr(queue, state))
        oldest = queue.oldest_waiting_since or at
        age.add_metric([queue.name], max(0.0, (at - oldest).total_seconds()))
        paused.add_metric([queue.name], queue.paused_at is not None)
        if queue.slots is not None:
            slots.add_metric([queue.name], queue.slots)
    yield from (jobs, age, paused, slots)


def _workers(workers: Iterable[Worker]) -> Iterator[Metric]:
    slots = GaugeMetricFamily("etl_worker_slots", "Attempts at once.", labels=["worker"])
    running = GaugeMetricFamily("etl_worker_running", "Attempts now.", labels=["worker"])
    for worker in workers:
        slots.add_metric([worker.name], worker.slots)
        running.add_metric([worker.name], worker.running)
    yield from (slots, running)


def _database_up(value: int) -> Metric:
    return _one("etl_database_up", "Whether the database answered.", value)


def _one(name: str, meaning: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


class _Found(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families

"""Every figure that there is, from the real adapters and use cases."""

from collections.abc import Iterable

from prometheus_client import Metric

from adapters.postgres.engine import PoolUse
from adapters.prometheus.meters import PrometheusMeters
from application.held_attempts import HeldAttempts
from domain.horizon import HorizonHolder
from entrypoints.gauges import gauges_of
from tests.builders import TERMS, a_job
from tests.integration.http.api import Api


async def every_family(api: Api) -> Iterable[Metric]:
    """Each with at least one sample, as an API beside a worker tells them."""
    await api.queue.submit([a_job()])
    await api.queue.set_slots("default", 3)
    await api.registry.join(api.worker, TERMS)
    api.horizon = HorizonHolder(7, "psql", "idle in transaction", 75.5)
    held = HeldAttempts(4, TERMS)
    held.session_id = api.worker.id
    pools = [PoolUse("shared", 2, 1, 0)]
    api.meters = PrometheusMeters(gauges_of(lambda: pools, held, api.clock))
    api.meters.answered("submitJob", "POST", 201, 0.1)
    return await api.use_cases().exposition.families()

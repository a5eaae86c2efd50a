"""Figures for Prometheus, read back by its own parser."""

from prometheus_client.parser import text_string_to_metric_families

from domain.access import Scope
from domain.horizon import HorizonHolder
from entrypoints.http.app import HttpConfig
from tests.integration.http.api import Api

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def figures(text: str) -> Figures:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


async def test_depth_slots_and_the_oldest_transaction_are_told(api: Api) -> None:
    client = await api.client(Scope.METRICS_READ, Scope.JOBS_SUBMIT)
    for _ in range(3):
        made = (await client.post("/api/v1/jobs", json={"script": "load.py", "queue": "night"})).json()
    await api.start(made["id"])
    api.horizon = HorizonHolder(7, "psql", "idle in transaction", 75.5, 12)
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = figures(answer.text)
    assert found["etl_queue_jobs", (("queue", "night"), ("state", "running"))] == 3
    assert found["etl_queue_jobs", (("queue", "night"), ("state", "waiting"))] == 0
    assert found["etl_queue_paused", (("queue", "night"),)] == 0
    assert found["etl_worker_running", (("worker", api.worker.name),)] == 3
    assert found["etl_worker_slots", (("worker", api.worker.name),)] == api.worker.slots
    labels = (("application", "psql"), ("pid", "7"), ("state", "idle in transaction"))
    assert found["etl_database_oldest_transaction_seconds", labels] == 75.5


async def test_a_key_with_the_scope_is_needed_unless_only_this_machine_can_ask(api: Api) -> None:
    assert (await (await api.client()).get("/metrics")).status_code == 401
    assert (await (await api.client(Scope.JOBS_READ)).get("/metrics")).status_code == 403
    local = await api.client(config=HttpConfig(open_metrics=True))
    assert (await local.get("/metrics")).status_code == 200

"""Figures for Prometheus, read back by its own parser."""

import re
from dataclasses import replace
from typing import Any

import httpx
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from adapters.memory.disk_space import MemoryDiskSpace
from domain.access import Scope
from domain.errors import DatabaseUnavailable
from domain.horizon import HorizonHolder
from entrypoints.http.app import HttpConfig, create_watch_app
from entrypoints.http.use_cases import only_this_process
from tests.architecture.sources import ROOT
from tests.integration.http.api import Api
from tests.integration.http.families import every_family

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def figures(text: str) -> Figures:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


async def test_depth_slots_and_the_oldest_transaction_are_told(api: Api) -> None:
    client = await api.client(Scope.METRICS_READ, Scope.JOBS_SUBMIT)
    for _ in range(3):
        made = (await client.post("/api/v1/jobs", json={"script": "load.py", "queue": "night"})).json()
    await api.start(made["id"])
    api.horizon = HorizonHolder(7, "psql", "idle in transaction", 75.5)
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
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


def counted(found: Figures, **labels: str) -> float:
    return found.get(("etl_http_requests_total", tuple(sorted(labels.items()))), 0)


async def test_requests_are_told_by_the_id_of_their_operation_and_never_by_their_path(api: Api) -> None:
    client = await api.client(Scope.ADMIN)
    made = (await client.post("/api/v1/jobs", json={"script": "load.py"})).json()
    await client.get(f"/api/v1/jobs/{made['id']}")
    await client.get("/api/v1/jobs/none")
    text = (await client.get("/metrics")).text
    found = figures(text)
    assert counted(found, operation="submitJob", method="POST", status="201") == 1
    assert counted(found, operation="readJob", method="GET", status="200") == 1
    assert counted(found, operation="readJob", method="GET", status="404") == 1
    assert found["etl_http_request_seconds_count", (("operation", "readJob"),)] == 2
    assert made["id"] not in text
    assert found["etl_jobs_submitted_total", ()] == 1


async def test_what_no_operation_answers_makes_one_series_whatever_is_asked(api: Api) -> None:
    client = await api.client()
    for method in ("GET", "PROPFIND", "X1", "X2"):
        await client.request(method, f"/nowhere/{method}")
    await client.request("DELETE", "/api/v1/jobs")
    found = figures(api_text(api))
    series = [labels for name, labels in found if name == "etl_http_requests_total"]
    assert {dict(labels)["operation"] for labels in series} == {"none"}
    assert {dict(labels)["method"] for labels in series} == {"any"}
    assert {dict(labels)["status"] for labels in series} <= {"404", "405", "400"}


def api_text(api: Api) -> str:
    return generate_latest(api.meters.registry).decode()


async def test_without_a_database_this_process_still_tells_its_own_figures(api: Api) -> None:
    async def away() -> None:
        raise DatabaseUnavailable("The database does not answer.")

    local = HttpConfig(open_metrics=True)
    there = await (await api.client(config=local)).get("/metrics")
    assert figures(there.text)["etl_database_up", ()] == 1
    api.oldest_transaction = away  # type: ignore[method-assign]  # the last of what is asked
    answer = await (await api.client(config=local)).get("/metrics")
    found = figures(answer.text)
    assert answer.status_code == 200
    assert found["etl_database_up", ()] == 0
    assert found["etl_jobs_submitted_total", ()] == 0
    assert not [name for name, _ in found if name.startswith("etl_queue")]


async def test_a_disk_that_does_not_answer_is_left_out(api: Api) -> None:
    whole = api.use_cases().exposition
    found = figures((await whole.text()).decode())
    assert found["etl_disk_free_bytes", ()] == 2**40
    without = figures((await replace(whole, disk=MemoryDiskSpace(None)).text()).decode())
    assert ("etl_disk_free_bytes", ()) not in without
    assert without["etl_disk_floor_bytes", ()] == 1


async def test_a_worker_tells_health_and_its_own_figures_and_nothing_else(api: Api) -> None:
    cases = only_this_process(api.use_cases())
    app: Any = create_watch_app(cases, HttpConfig(open_metrics=True), api.meters, api.tracer)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).json() == {"status": "ok", "checks": {}}
        assert (await client.get("/api/v1/jobs")).status_code == 404
        found = figures((await client.get("/metrics")).text)
    assert ("etl_claim_seconds_count", ()) in found
    assert not [name for name, _ in found if name.startswith(("etl_queue", "etl_worker"))]


async def test_the_page_lists_every_figure_with_its_kind_and_labels(api: Api) -> None:
    found = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            {name for sample in family.samples for name in sample.labels} - {"le"},
        )
        for family in await every_family(api)
        if family.name.startswith("etl_")
    }
    page = (ROOT / "docs/observability.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    listed = {
        row[0].strip("`"): (row[1], set(re.findall(r"`(\w+)`", row[2])))
        for row in rows
        if len(row) == 4 and row[0].startswith("`etl_")
    }
    assert listed == found

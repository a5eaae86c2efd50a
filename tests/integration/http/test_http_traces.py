"""What a request becomes in a trace."""

from uuid import UUID

import pytest

from adapters.memory.tracer import MemoryTracer
from application.ports.tracer import SpanKind
from domain.access import Scope
from domain.trace import TraceContext
from entrypoints.http.app import HttpConfig
from tests.builders import TERMS
from tests.integration.http.api import Api

ABOVE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)


@pytest.fixture
def tracer(api: Api) -> MemoryTracer:
    api.tracer = tracer = MemoryTracer()
    return tracer


async def test_a_request_is_a_span_named_by_its_operation(api: Api, tracer: MemoryTracer) -> None:
    client = await api.client(Scope.ADMIN, traceparent=str(ABOVE))
    made = await client.post("/api/v1/jobs", json={"script": "load.py"})
    await client.get(f"/api/v1/jobs/{made.json()['id']}")
    submit, read = tracer.spans
    assert (submit.name, read.name) == ("submitJob", "readJob")
    assert submit.parent == read.parent == ABOVE
    assert submit.kind is SpanKind.SERVER
    assert read.attributes == {
        "http.request.method": "GET",
        "http.route": "/api/v1/jobs/{job_id}",
        "http.response.status_code": 200,
        "etl.request.id": read.attributes["etl.request.id"],
    }
    assert submit.ended_at > submit.began_at
    assert submit.error is None


async def test_a_job_is_stored_below_the_request_that_submitted_it(api: Api, tracer: MemoryTracer) -> None:
    client = await api.client(Scope.ADMIN)
    await client.post("/api/v1/jobs", json={"script": "load.py"})
    (job,) = await api.queue.claim(await joined(api), 1)
    (submit,) = tracer.spans
    assert job.spec.traceparent == str(submit.context)
    assert submit.parent is None


async def joined(api: Api) -> UUID:
    await api.registry.join(api.worker, TERMS)
    return api.worker.id


async def test_what_nobody_wants_recorded_is_not(api: Api, tracer: MemoryTracer) -> None:
    unsampled = TraceContext(ABOVE.trace_id, ABOVE.span_id, 0)
    client = await api.client(Scope.ADMIN, config=HttpConfig(open_metrics=True))
    await client.get("/api/v1/jobs", headers={"traceparent": str(unsampled)})
    for path in ("/health/live", "/health/ready", "/metrics"):
        await client.get(path)
    assert tracer.spans == []


async def test_a_fault_of_ours_is_an_error_of_the_span_and_a_wrong_request_is_none(
    api: Api, tracer: MemoryTracer
) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    client = await api.client(Scope.ADMIN)
    await client.get("/api/v1/jobs/none")
    await client.get("/nowhere")
    api.registry.list = broken  # type: ignore[method-assign,assignment]  # the fault
    await client.get("/api/v1/workers")
    assert [(span.name, span.error) for span in tracer.spans] == [
        ("readJob", None),
        ("none", None),
        ("listWorkers", "Answered with status 500."),
    ]

"""What the processes of an installation tell of themselves."""

import socket
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.installation import Installation, until
from tests.otlp_receiver import attributes, receiver


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scraped(address: str) -> dict[str, float]:
    """Each sample by its name and the values of its labels, in the order of their names."""
    text = httpx.get(f"{address}/metrics", trust_env=False).raise_for_status().text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {"/".join([s.name, *(s.labels[name] for name in sorted(s.labels))]): s.value for s in samples}


def listening(address: str) -> dict[str, float] | None:
    try:
        return scraped(address)
    except httpx.ConnectError:
        return None


def two_processes(own: Installation, database_url: str, *flags: str) -> str:
    """An API and a worker on one database; where the worker listens."""
    own.flags += [f"--database.url={database_url}", f"--logs.directory={own.directory / 'logs'}", *flags]
    own.serve("api")
    port = free_port()
    own.spawn("worker", f"--worker.http_port={port}", f"--data.directory={own.directory / 'worker'}")
    return f"http://127.0.0.1:{port}"


def test_an_api_and_its_worker_each_tell_their_part(own: Installation, database_url: str) -> None:
    worker = two_processes(own, database_url, "--worker.slots=3")
    job_id = own.submit(script=own.script("hello.sh", "echo hello\n"))
    assert own.ended(job_id)["state"] == "succeeded"
    seen = until(lambda: listening(worker), "the worker to listen")
    assert seen["etl_slots"] == 3
    assert seen["etl_attempts_total/succeeded/exit"] == 1
    assert seen["etl_log_bytes_total"] == len("hello\n")
    assert seen["etl_job_wait_seconds_count"] == seen["etl_process_start_seconds_count"] == 1
    assert seen["etl_claim_seconds_count"] >= 1
    assert not [name for name in seen if name.startswith("etl_queue")]
    assert httpx.get(f"{worker}/health/ready", trust_env=False).status_code == 200
    told = scraped(own.server["url"])
    assert told["etl_jobs_submitted_total"] == 1
    assert told["etl_http_requests_total/POST/submitJob/201"] == 1
    assert told["etl_queue_jobs/default/running"] == 0
    assert "etl_slots" not in told


def test_one_process_tells_everything(shared: Installation) -> None:
    shared.ended(shared.submit(command=["/bin/true"]))
    told = scraped(shared.server["url"])
    assert told["etl_attempts_total/succeeded/exit"] >= 1
    assert told["etl_jobs_submitted_total"] >= 1
    assert told["etl_database_up"] == 1
    assert told["etl_slots"] >= 1


def test_one_trace_leads_from_the_caller_through_api_and_worker_to_the_program(
    own: Installation, database_url: str
) -> None:
    caller, trace = "b7ad6b7169203331", "0af7651916cd43dd8448eb211c80319c"
    script = own.script("trace.sh", 'echo "$TRACEPARENT"\n[ "$ETL_ATTEMPT" = 2 ]\n')
    retry = {"max_attempts": 2, "delay_seconds": 0}
    with receiver() as collector:
        own.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        two_processes(own, database_url)
        with own.http() as http:
            headers = {"traceparent": f"00-{trace}-{caller}-01"}
            made = http.post("/jobs", json={"script": script, "retry": retry}, headers=headers).json()
        assert own.ended(made["id"])["state"] == "succeeded"
        collector.until(lambda: len(of_trace(collector.spans(), trace)) == 7)
        spans = of_trace(collector.spans(), trace)
        by_id = {span.span_id.hex(): span for span in spans}
        paths = sorted((path_of(span, by_id, caller), attributes(span).get("etl.attempt")) for span in spans)
        assert paths == [
            ("submitJob", None),
            *[("submitJob/attempt", n) for n in (1, 2)],
            *[("submitJob/attempt/process", n) for n in (1, 2)],
            *[("submitJob/wait", n) for n in (1, 2)],
        ]
        # The latest log is that of the second attempt: it names the span of its own process.
        told = by_id[own.log(made["id"]).split("-")[2]]
        assert (told.name, attributes(told)["etl.attempt"]) == ("process", 2)
        own.stop()
        instances = {told["service.instance.id"] for told in collector.resources()}
        assert len(instances) == 2
        assert {"etl_claim_seconds", "etl_queue_jobs"} <= set(collector.metrics())


def of_trace(spans: list[Any], trace: str) -> list[Any]:
    return [span for span in spans if span.trace_id.hex() == trace]


def path_of(span: Any, by_id: dict[str, Any], top: str) -> str:
    """The names from the caller's span down."""
    parent = span.parent_span_id.hex()
    return span.name if parent == top else f"{path_of(by_id[parent], by_id, top)}/{span.name}"


def test_a_collector_that_is_away_changes_nothing_but_one_line(own: Installation) -> None:
    own.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    own.environ |= {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.2", "OTEL_METRICS_EXPORTER": "none"}
    own.serve()
    script = own.script("hello.sh", "echo hello\n")
    for _ in range(5):
        assert own.ended(own.submit(script=script))["state"] == "succeeded"
    log = own.directory / "serve.log"
    until(lambda: True if "otlp_unavailable" in log.read_text() else None, "the line")
    own.stop()
    assert log.read_text().count("otlp_unavailable") == 1
    assert "Traceback" not in log.read_text()


def test_a_variable_that_cannot_be_read_stops_the_start_with_a_sentence(own: Installation) -> None:
    own.environ |= {"OTEL_TRACES_EXPORTER": "zipkin"}
    ended = own.etl("serve")
    assert ended.returncode == 2
    assert b"OTEL_TRACES_EXPORTER: 'zipkin' is not built in; give `otlp` or `none`." in ended.stderr

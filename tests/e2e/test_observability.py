"""What the processes of an installation tell of themselves."""

import socket

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.installation import Installation, until


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

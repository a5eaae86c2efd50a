"""A disk that is nearly full starts nothing new."""

import httpx

from tests.e2e.installation import Installation


def test_below_the_floor_jobs_wait_and_health_says_why_until_there_is_room(own: Installation) -> None:
    own.flags = ["--retention.disk_floor=1000TiB"]
    first = own.serve()
    job_id = own.submit(script=own.script("hello.sh", "echo hello"))
    ready = httpx.get(f"{own.server['url']}/health/ready", timeout=30, trust_env=False)
    assert ready.status_code == 503
    assert "retention.disk_floor" in ready.json()["checks"]["disk"]
    assert own.job(job_id)["state"] == "queued"
    own.crash(first)
    own.flags = []
    own.serve()
    assert own.ended(job_id)["state"] == "succeeded"

"""Submitting jobs: what is accepted, once, and in batches."""

from uuid import UUID

import httpx
import pytest

from domain.access import Scope
from tests.integration.http.api import RULES, Api

JOBS = "/api/v1/jobs"
FULL = {
    "script": "load.py",
    "args": ["--verbose", "ä"],
    "parameters": {"period": "2026-01", "full": True, "region": ["eu", "us"], "none": None, "share": 0.5},
    "environment": {"REGION": "eu", "DB_PASSWORD": "hunter2"},
    "queue": "nightly",
    "priority": 7,
    "not_before": "2030-01-01T05:00:00+01:00",
    "expires_at": "2030-01-02T00:00:00Z",
    "timeout_seconds": 60.5,
    "stop_grace_seconds": 0,
    "retry": {
        "max_attempts": 3,
        "delay_seconds": 1,
        "factor": 1.5,
        "jitter": 0,
        "on": ["lost"],
        "exit_codes": [75],
    },
    "concurrency": {"key": "warehouse", "limit": 2},
    "resources": {"memory_bytes": 2**30, "cpu_seconds": 1.5, "open_files": 64, "processes": 8},
    "left_behind": "keep",
    "labels": {"team": "finance"},
}


async def test_a_full_request_comes_back_as_accepted_with_secrets_masked(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(JOBS, json=FULL)
    job = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{JOBS}/{job['id']}"
    assert UUID(job["id"]).version == 7
    assert job["environment"] == {"REGION": "eu", "DB_PASSWORD": "***"}
    assert job["not_before"] == "2030-01-01T04:00:00Z"
    assert job["state"] == "queued"
    assert job["submitted_by"] == "alice"
    assert job["retry"] == {**FULL["retry"], "max_delay_seconds": 3600.0}  # type: ignore[dict-item]  # it is one
    same = [
        "script", "args", "parameters", "queue", "priority", "expires_at", "concurrency", "resources",
        "left_behind", "labels",
    ]  # fmt: skip
    assert {name: job[name] for name in same} == {name: FULL[name] for name in same}
    assert (await admin.get(answer.headers["location"])).json()["id"] == job["id"]


async def test_defaults_are_filled_in(admin: httpx.AsyncClient) -> None:
    job = (await admin.post(JOBS, json={"script": "load.py"})).json()
    assert (job["queue"], job["priority"], job["timeout_seconds"], job["stop_grace_seconds"]) == (
        "default",
        0,
        3600,
        10,
    )


async def test_a_command_needs_its_own_scope(api: Api) -> None:
    client = await api.client(Scope.JOBS_SUBMIT)
    answer = await client.post(JOBS, json={"command": ["true"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing-scope")
    assert "jobs:command" in answer.json()["detail"]
    client = await api.client(Scope.JOBS_COMMAND)
    assert (await client.post(JOBS, json={"command": ["true", "x"]})).json()["command"] == ["true", "x"]
    assert (await client.post(JOBS, json={"script": "load.py"})).status_code == 403


async def test_a_command_is_refused_where_commands_are_off() -> None:
    api = Api(rules=type(RULES)(timeout_seconds=1, stop_grace_seconds=1, allow_commands=False))
    client = await api.client(Scope.ADMIN)
    answer = await client.post(JOBS, json={"command": ["true"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "commands-not-allowed")


async def test_an_unknown_script_and_one_outside_are_422(admin: httpx.AsyncClient) -> None:
    for script in ("no.py", "../../etc/passwd", "/etc/passwd", "a\0b"):
        answer = await admin.post(JOBS, json={"script": script})
        assert answer.status_code == 422, script
        assert "/etc" not in answer.json()["title"]


async def test_what_can_never_run_is_422_and_names_every_place(admin: httpx.AsyncClient) -> None:
    wrong = {
        "script": "load.py",
        "command": ["x"],
        "environment": {"LD_PRELOAD": "x", "ETL_X": "y"},
    }
    answer = await admin.post(JOBS, json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-job")
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert {"/script", "/environment/LD_PRELOAD", "/environment/ETL_X"} <= pointers


# -- idempotency -----------------------------------------------------------------------------------


async def test_the_same_key_and_meaning_replays_and_another_body_is_422(admin: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "nightly-2026-01"}
    first = await admin.post(JOBS, json={"script": "load.py", "priority": 1}, headers=key)
    assert "idempotency-replayed" not in first.headers
    again = await admin.post(
        JOBS,
        content=b'{ "priority": 1, "script": "load.py", "args": [] }',
        headers={**key, "Content-Type": "application/json"},
    )
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    other = await admin.post(JOBS, json={"script": "load.py", "priority": 2}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert len((await admin.get(JOBS)).json()["items"]) == 1


async def test_a_key_is_its_owners_own(api: Api) -> None:
    headers = {"Idempotency-Key": "same"}
    ids = set()
    for name in ("alice", "bob"):
        client = await api.client(Authorization=f"Bearer {await api.key(Scope.ADMIN, name=name)}")
        ids.add((await client.post(JOBS, json={"script": "load.py"}, headers=headers)).json()["id"])
    assert len(ids) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ümlaut"])
async def test_a_key_of_another_form_is_400(admin: httpx.AsyncClient, key: str) -> None:
    headers = {"Idempotency-Key": key.encode()}
    answer = await admin.post(JOBS, json={"script": "load.py"}, headers=headers)  # type: ignore[arg-type]  # wrong on purpose
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "Idempotency-Key"


# -- batches ---------------------------------------------------------------------------------------


async def test_a_batch_is_accepted_as_a_whole_and_replayed_as_a_whole(admin: httpx.AsyncClient) -> None:
    batch = {"jobs": [{"script": "load.py", "priority": n} for n in range(3)]}
    first = await admin.post(f"{JOBS}/batch", json=batch, headers={"Idempotency-Key": "b"})
    again = await admin.post(f"{JOBS}/batch", json=batch, headers={"Idempotency-Key": "b"})
    assert first.status_code == again.status_code == 201
    assert [job["priority"] for job in first.json()["jobs"]] == [0, 1, 2]
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"


async def test_one_wrong_job_refuses_the_batch_and_is_named(admin: httpx.AsyncClient) -> None:
    batch = {"jobs": [{"script": "load.py"}, {"script": "load.py", "command": ["x"]}]}
    answer = await admin.post(f"{JOBS}/batch", json=batch)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/jobs/1/script"
    assert (await admin.get(JOBS)).json()["items"] == []


async def test_a_batch_has_1_to_1000_jobs(admin: httpx.AsyncClient) -> None:
    for count, status in ((0, 400), (1000, 201), (1001, 400)):
        answer = await admin.post(f"{JOBS}/batch", json={"jobs": [{"script": "load.py"}] * count})
        assert answer.status_code == status


async def test_an_unknown_script_in_a_batch_is_named_by_its_place(admin: httpx.AsyncClient) -> None:
    known, unknown = {"script": "load.py"}, {"script": "other.py"}
    answer = await admin.post(f"{JOBS}/batch", json={"jobs": [known, known, known, unknown]})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown-script")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/jobs/3/script"]
    assert (await admin.get(JOBS)).json()["items"] == []

import asyncio

import httpx

from domain.errors import DatabaseUnavailable
from tests.builders import TERMS, a_worker
from tests.integration.http.api import Api

QUEUES = "/api/v1/queues"


async def test_a_queue_is_listed_with_what_is_in_it(admin: httpx.AsyncClient) -> None:
    for name in ("b", "a"):
        await admin.post("/api/v1/jobs", json={"script": "load.py", "queue": name})
    page = (await admin.get(f"{QUEUES}?limit=1")).json()
    rest = (await admin.get(QUEUES, params={"cursor": page["next_cursor"]})).json()
    names = [queue["name"] for queue in page["items"] + rest["items"]]
    assert names == sorted(names)
    assert {"a", "b"} <= set(names)
    assert page["items"][0] | {"oldest_waiting_since": None} == {
        "name": "a", "slots": None, "paused_at": None, "paused_by": None, "waiting": 1, "scheduled": 0,
        "running": 0, "oldest_waiting_since": None,
    }  # fmt: skip


async def test_a_queue_is_paused_resumed_and_limited(admin: httpx.AsyncClient) -> None:
    limited = await admin.patch(f"{QUEUES}/nightly", json={"slots": 3})
    assert (limited.status_code, limited.json()["slots"]) == (200, 3)
    assert (await admin.patch(f"{QUEUES}/nightly", json={"slots": None})).json()["slots"] is None
    paused = (await admin.post(f"{QUEUES}/nightly/pause")).json()
    assert (paused["paused_by"], bool(paused["paused_at"])) == ("alice", True)
    assert (await admin.post(f"{QUEUES}/nightly/resume")).json()["paused_at"] is None


async def test_a_queue_that_is_not_there_is_404_and_a_wrong_limit_400(admin: httpx.AsyncClient) -> None:
    for name in ("nothing", "a..%2f", "-x", "x" * 65):
        for verb in ("pause", "resume"):
            assert (await admin.post(f"{QUEUES}/{name}/{verb}")).status_code == 404
    assert (await admin.patch(f"{QUEUES}/-x", json={"slots": 1})).json()["code"] == "queue-not-found"
    for wrong in ({}, {"slots": 0}, {"slots": "3"}, {"slots": 1, "paused": True}, {"slots": 1.5}):
        assert (await admin.patch(f"{QUEUES}/a", json=wrong)).status_code == 400


async def test_workers_are_listed_newest_first_and_drained(api: Api, admin: httpx.AsyncClient) -> None:
    for _ in range(2):
        await api.registry.join(a_worker("nightly"), TERMS)
    workers = (await admin.get("/api/v1/workers")).json()["items"]
    ids = [worker["id"] for worker in workers]
    assert ids == sorted(ids, reverse=True)
    assert (workers[0]["state"], workers[0]["queues"], workers[0]["slots"]) == ("up", ["nightly"], 4)
    drained = await admin.post(f"/api/v1/workers/{ids[0]}/drain")
    assert (drained.status_code, drained.json()["state"]) == (200, "draining")
    for worker_id in ("019a0000-0000-7000-8000-000000000000", "host-1:4711", ids[0].upper()):
        answer = await admin.post(f"/api/v1/workers/{worker_id}/drain")
        assert (answer.status_code, answer.json()["code"]) == (404, "worker-not-found")


async def test_live_asks_nothing_and_ready_asks_everything(api: Api) -> None:
    async def well() -> None: ...

    async def broken() -> None:
        raise DatabaseUnavailable("The database does not answer.")

    client = await api.client()
    api.checks |= {"disk": well}
    assert (await client.get("/health/ready")).json() == {"status": "ok", "checks": {"disk": "ok"}}
    api.checks |= {"database": broken}
    answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["checks"] == {"disk": "ok", "database": "The database does not answer."}
    assert (await client.get("/health/live")).json() == {"status": "ok", "checks": {}}


async def test_fifty_callers_with_one_key_make_one_job(admin: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    sent = (admin.post("/api/v1/jobs", json={"script": "load.py"}, headers=headers) for _ in range(50))
    answers = await asyncio.gather(*sent)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1

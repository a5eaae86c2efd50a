from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from litestar import get
from litestar.routes import HTTPRoute
from structlog.testing import capture_logs

from domain.access import Principal, Scope
from domain.rate import Rate
from entrypoints.http.app import HttpConfig, routes_of
from entrypoints.http.operation import Operation
from tests.builders import a_key
from tests.integration.http.api import Api

SOME_ID = "019a0000-0000-7000-8000-000000000000"
OPEN = {
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/problems/{code:str}"),
    ("GET", "/api/versioning"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/docs"),
    ("GET", "/api/docs/{asset:str}"),
}
SCOPES = {
    ("POST", "/api/v1/jobs"): {Scope.JOBS_SUBMIT, Scope.JOBS_COMMAND},
    ("POST", "/api/v1/jobs/batch"): {Scope.JOBS_SUBMIT, Scope.JOBS_COMMAND},
    ("GET", "/api/v1/jobs"): {Scope.JOBS_READ},
    ("GET", "/api/v1/jobs/{job_id:str}"): {Scope.JOBS_READ},
    ("GET", "/api/v1/jobs/{job_id:str}/attempts"): {Scope.JOBS_READ},
    ("GET", "/api/v1/jobs/{job_id:str}/events"): {Scope.JOBS_READ},
    ("POST", "/api/v1/jobs/{job_id:str}/cancel"): {Scope.JOBS_CANCEL},
    ("POST", "/api/v1/jobs/{job_id:str}/retry"): {Scope.JOBS_SUBMIT, Scope.JOBS_COMMAND},
    ("GET", "/api/v1/jobs/{job_id:str}/log"): {Scope.LOGS_READ},
    ("GET", "/api/v1/jobs/{job_id:str}/log/stream"): {Scope.LOGS_READ},
    ("GET", "/api/v1/queues"): {Scope.JOBS_READ},
    ("PATCH", "/api/v1/queues/{name:str}"): {Scope.QUEUES_WRITE},
    ("POST", "/api/v1/queues/{name:str}/pause"): {Scope.QUEUES_WRITE},
    ("POST", "/api/v1/queues/{name:str}/resume"): {Scope.QUEUES_WRITE},
    ("GET", "/api/v1/workers"): {Scope.JOBS_READ},
    ("POST", "/api/v1/workers/{worker_id:str}/drain"): {Scope.WORKERS_WRITE},
    ("POST", "/api/v1/keys"): {Scope.KEYS_WRITE},
    ("GET", "/api/v1/keys"): {Scope.KEYS_WRITE},
    ("DELETE", "/api/v1/keys/{key_id:str}"): {Scope.KEYS_WRITE},
    ("GET", "/metrics"): {Scope.METRICS_READ},
}


def routes(api: Api) -> dict[tuple[str, str], object]:
    app = routes_of(api.use_cases(), HttpConfig())
    return {
        (str(method), route.path): handler.opt.get("operation")
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }


def test_every_route_declares_who_may_use_it(api: Api) -> None:
    declared = {}
    for where, operation in routes(api).items():
        assert isinstance(operation, Operation), where
        declared[where] = set(operation.scopes)
    assert declared == SCOPES | {where: set() for where in OPEN}


@pytest.mark.parametrize(("method", "path"), SCOPES)
async def test_a_route_is_closed_without_a_key_and_with_every_other_scope(
    api: Api, method: str, path: str
) -> None:
    url = path.replace("{name:str}", "default")
    url = (
        url.replace("{job_id:str}", SOME_ID)
        .replace("{worker_id:str}", SOME_ID)
        .replace("{key_id:str}", SOME_ID)
    )
    anonymous = await (await api.client()).request(method, url)
    assert (anonymous.status_code, anonymous.headers["www-authenticate"]) == (401, 'Bearer realm="etl"')
    others = set(Scope) - SCOPES[method, path] - {Scope.ADMIN}
    refused = await (await api.client(*others)).request(method, url)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing-scope")
    assert any(f"`{scope}`" in refused.json()["detail"] for scope in SCOPES[method, path])
    for scope in (*SCOPES[method, path], Scope.ADMIN):
        let_in = await (await api.client(scope)).request(method, url)
        assert let_in.status_code not in {401, 403}


async def test_a_route_that_declares_nothing_is_open_to_nobody(api: Api) -> None:
    @get("/forgotten")
    async def forgotten() -> None: ...

    app: Any = routes_of(api.use_cases(), HttpConfig())
    app.register(forgotten)
    headers = {"Authorization": f"Bearer {await api.key(Scope.ADMIN)}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        assert (await client.get("/forgotten", headers=headers)).status_code == 403


async def test_both_headers_are_understood_and_only_one_may_come(api: Api) -> None:
    secret = await api.key(Scope.JOBS_READ)
    client = await api.client()
    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"bearer  {secret}"},
        {"X-API-Key": secret},
    ):
        assert (await client.get("/api/v1/jobs", headers=headers)).status_code == 200
    twice = [
        [("Authorization", f"Bearer {secret}"), ("X-API-Key", secret)],
        [("Authorization", f"Bearer {secret}"), ("Authorization", f"Bearer {secret}")],
        [("X-API-Key", secret), ("X-API-Key", secret)],
    ]
    for pairs in twice:
        answer = await client.get("/api/v1/jobs", headers=pairs)
        assert (answer.status_code, answer.json()["code"]) == (400, "two-credentials")


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", "etl_x", ""])
async def test_another_scheme_is_401(api: Api, value: str) -> None:
    answer = await (await api.client()).get("/api/v1/jobs", headers={"Authorization": value})
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong-scheme")


async def test_unknown_expired_and_revoked_keys_hear_the_same(api: Api) -> None:
    now = datetime.now(UTC)
    for secret, changes in (("etl_expired", {"expires_at": now}), ("etl_revoked", {"revoked_at": now})):
        await api.access.add(a_key(secret, **changes))
    client, heard = await api.client(), set()
    for secret in (
        "etl_unknown",
        "etl_expired",
        "etl_revoked",
        "no-prefix",
        "etl_\u00fc".encode().decode("latin-1"),
    ):
        answer = await client.get("/api/v1/jobs", headers={b"X-API-Key": secret.encode("latin-1")})
        heard.add((answer.status_code, answer.json()["code"], answer.json()["detail"]))
    assert len(heard) == 1
    assert heard.pop()[:2] == (401, "unauthenticated")


async def test_a_revoked_key_ends_at_once(api: Api, admin: httpx.AsyncClient) -> None:
    made = (await admin.post("/api/v1/keys", json={"name": "ci", "scopes": ["jobs:read"]})).json()
    client = await api.client(Authorization=f"Bearer {made['secret']}")
    assert (await client.get("/api/v1/jobs")).status_code == 200
    assert (await admin.delete(f"/api/v1/keys/{made['id']}")).status_code == 204
    assert (await client.get("/api/v1/jobs")).status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", '{"script": "load.py"}'),
        ("", '{"script": "unknown.py"}'),
        ("", '{"script": "load.py", "priority": 1000}'),
        ("", "{"),
        ("", '{"command": ["true"]}'),
        ("/batch", '{"jobs": [{"script": "load.py"}]}'),
        ("/batch", '{"jobs": []}'),
    ],
)
async def test_a_caller_whose_key_has_just_been_revoked_hears_that_alone(
    api: Api, admin: httpx.AsyncClient, path: str, body: str
) -> None:
    """Also where it was used a moment ago, so that it was let in without a look-up."""
    api.failures = Rate(100, 60.0)
    made = (await admin.post("/api/v1/keys", json={"name": "ci", "scopes": ["jobs:submit"]})).json()
    client = await api.client(Authorization=f"Bearer {made['secret']}")
    assert (await client.post("/api/v1/jobs", json={"script": "load.py"})).status_code == 201
    assert (await admin.delete(f"/api/v1/keys/{made['id']}")).status_code == 204
    headers = {"Content-Type": "application/json", "Idempotency-Key": "again"}
    with capture_logs() as lines:
        refused = await client.post(f"/api/v1/jobs{path}", content=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert refused.headers["www-authenticate"] == 'Bearer realm="etl"'
    assert refused.headers["ratelimit"].startswith('"failures";r=99;')
    assert [line["principal"] for line in lines if line["event"] == "request_answered"] == [None]
    assert len(api.records.jobs) == 1


async def test_a_revoked_key_at_its_limit_hears_that_it_is_revoked(
    api: Api, admin: httpx.AsyncClient
) -> None:
    api.callers = Rate(1, 60.0)
    made = (await admin.post("/api/v1/keys", json={"name": "ci", "scopes": ["jobs:submit"]})).json()
    client = await api.client(Authorization=f"Bearer {made['secret']}")
    codes = [(await client.post("/api/v1/jobs", json={"script": "load.py"})).status_code for _ in range(2)]
    assert codes == [201, 429]
    assert (await admin.delete(f"/api/v1/keys/{made['id']}")).status_code == 204
    assert (await client.post("/api/v1/jobs", json={"script": "load.py"})).status_code == 401


async def test_only_what_asks_for_the_key_by_itself_is_done_on_trust(api: Api) -> None:
    trusting = {where for where, made in routes(api).items() if isinstance(made, Operation) and made.on_trust}
    assert trusting == {("POST", "/api/v1/jobs"), ("POST", "/api/v1/jobs/batch")}


async def test_a_token_opens_by_its_scopes_and_its_subject_stands_in_the_events(api: Api) -> None:
    client = await api.client(Authorization=f"Bearer {api.token(Scope.JOBS_SUBMIT, Scope.JOBS_READ)}")
    job = (await client.post("/api/v1/jobs", json={"script": "load.py"})).json()
    assert job["submitted_by"] == "alice@example"
    events = (await client.get(f"/api/v1/jobs/{job['id']}/events")).json()["items"]
    assert [event["actor"] for event in events] == ["alice@example"]
    refused = await client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (403, "missing-scope")


async def test_a_token_and_a_key_at_once_are_refused(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.token(Scope.ADMIN)}", "X-API-Key": await api.key(Scope.ADMIN)}
    answer = await (await api.client()).get("/api/v1/jobs", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "two-credentials")


async def test_an_expired_token_is_401_and_one_that_nobody_can_check_503(api: Api) -> None:
    client = await api.client()
    old = await client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {api.token(seconds=0)}"})
    assert (old.status_code, old.json()["code"]) == (401, "unauthenticated")
    api.tokens.away = True
    answer = await client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {api.token()}"})
    assert (answer.status_code, answer.json()["code"]) == (503, "token-keys-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    key = await api.client(Scope.JOBS_READ)
    assert (await key.get("/api/v1/jobs")).status_code == 200


async def test_idempotency_keys_of_a_token_and_of_keys_of_the_same_name_are_apart(api: Api) -> None:
    body, header = {"script": "load.py"}, {"Idempotency-Key": "nightly"}
    ids = set()
    for credential in (
        await api.key(Scope.JOBS_SUBMIT, name="ci"),
        await api.key(Scope.JOBS_SUBMIT, name="ci"),
        api.token(Scope.JOBS_SUBMIT, name="ci"),
    ):
        client = await api.client(Authorization=f"Bearer {credential}")
        ids.add((await client.post("/api/v1/jobs", json=body, headers=header)).json()["id"])
    assert len(ids) == 3


async def test_without_auth_everybody_may(api: Api) -> None:
    client = await api.client(config=HttpConfig(auth=False))
    answer = await client.post("/api/v1/jobs", json={"script": "load.py"})
    assert answer.json()["submitted_by"] == Principal(name="anonymous", scopes=frozenset()).name


# -- keys ------------------------------------------------------------------------------------------


async def test_a_key_is_issued_listed_without_its_secret_and_revoked(admin: httpx.AsyncClient) -> None:
    expires = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    wanted = {"name": "ci", "scopes": ["jobs:read", "logs:read"], "expires_at": expires}
    made = await admin.post("/api/v1/keys", json=wanted)
    assert made.status_code == 201
    assert made.json()["secret"].startswith(made.json()["prefix"])
    listed = (await admin.get("/api/v1/keys")).json()["items"]
    assert made.json()["id"] in {key["id"] for key in listed}
    assert all("secret" not in key and "digest" not in key for key in listed)
    await admin.delete(f"/api/v1/keys/{made.json()['id']}")
    assert made.json()["id"] not in {key["id"] for key in (await admin.get("/api/v1/keys")).json()["items"]}


async def test_keys_page(admin: httpx.AsyncClient) -> None:
    for n in range(4):
        await admin.post("/api/v1/keys", json={"name": f"k{n}", "scopes": ["jobs:read"]})
    first = (await admin.get("/api/v1/keys?limit=3")).json()
    rest = (await admin.get("/api/v1/keys", params={"cursor": first["next_cursor"]})).json()
    ids = [key["id"] for key in first["items"] + rest["items"]]
    assert len(set(ids)) == 5
    assert ids == sorted(ids, reverse=True)
    assert rest["next_cursor"] is None


async def test_a_key_grants_no_more_than_its_issuer_has(api: Api) -> None:
    client = await api.client(Scope.KEYS_WRITE, Scope.JOBS_READ)
    answer = await client.post("/api/v1/keys", json={"name": "x", "scopes": ["jobs:read", "admin"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await client.post("/api/v1/keys", json={"name": "x", "scopes": ["jobs:read"]})).status_code == 201


async def test_a_key_that_ends_issues_no_key_that_ends_later(api: Api, admin: httpx.AsyncClient) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    wanted = {"name": "temp", "scopes": ["admin"], "expires_at": soon.isoformat()}
    temp = (await admin.post("/api/v1/keys", json=wanted)).json()
    client = await api.client(Authorization=f"Bearer {temp['secret']}")
    for later in (None, (soon + timedelta(seconds=1)).isoformat()):
        answer = await client.post("/api/v1/keys", json={**wanted, "expires_at": later})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await client.post("/api/v1/keys", json=wanted)).status_code == 201


async def test_a_key_that_makes_no_sense_is_refused(admin: httpx.AsyncClient) -> None:
    for wrong, status in (
        ({"name": "x", "scopes": []}, 400),
        ({"name": "x", "scopes": ["all"]}, 400),
        ({"name": "x\n", "scopes": ["admin"]}, 400),
        ({"name": "x", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"}, 422),
    ):
        assert (await admin.post("/api/v1/keys", json=wrong)).status_code == status
    assert (await admin.delete(f"/api/v1/keys/{SOME_ID}")).json()["code"] == "key-not-found"
    assert (await admin.delete("/api/v1/keys/1")).status_code == 404

"""Attacks that one request makes: each is a row, and each is refused by the status and code that it names."""

import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.access import Scope
from tests import issuer
from tests.issuer import SECRET
from tests.served_api import ServedApi

JOBS, KEYS = "/api/v1/jobs", "/api/v1/keys"
ID = "019a0000-0000-7000-8000-000000000000"
JSON = {"Content-Type": "application/json"}
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
DEEP = b"[" * 50_000


@dataclass(frozen=True)
class Attack:
    """One request, by whom (`as_`: admin, nobody, a scope, or a whole credential), and the refusal."""

    name: str
    method: str
    path: str
    status: int
    code: str
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    as_: str = "admin"


def script(spelling: str) -> Attack:
    body = {"script": spelling}
    return Attack(f"traversal {spelling!r}", "POST", JOBS, 422, "unknown-script", json=body)


def smuggled(name: str, body: dict[str, Any], status: int = 400, code: str = "schema-broken") -> Attack:
    return Attack(f"smuggled {name}", "POST", JOBS, status, code, json={"script": "load.py", **body})


def job_id(spelling: str, code: str = "job-not-found") -> Attack:
    return Attack(f"job id {spelling!r}", "GET", f"{JOBS}/{spelling}", 404, code)


def body(name: str, content: bytes, status: int, code: str, **headers: str) -> Attack:
    given = {**JSON, **{key.replace("_", "-"): value for key, value in headers.items()}}
    return Attack(f"body {name}", "POST", JOBS, status, code, content=content, headers=given)


def forged(name: str, token: str, status: int = 401, code: str = "unauthenticated") -> Attack:
    return Attack(f"token {name}", "GET", JOBS, status, code, as_=f"Bearer {token}")


def escalation(name: str, as_: str, **key: Any) -> Attack:
    wanted = {"name": "x", "scopes": ["jobs:read"], **key}
    return Attack(f"escalation {name}", "POST", KEYS, 403, "forbidden", json=wanted, as_=as_)


def token(**changes: Any) -> str:
    return issuer.token("HS256", **{"scope": "admin", **changes})


TRAVERSALS = [
    script(spelling)
    for spelling in (
        "../outside.py",
        "./../outside.py",
        "x/../../outside.py",
        "..\\outside.py",
        "..//outside.py",
        "%2e%2e/outside.py",
        "..%2foutside.py",
        "..\u2215outside.py",
        "\uff0e\uff0e/outside.py",
        "/etc/passwd",
        "//etc/passwd",
        "file:///etc/passwd",
        "~/outside.py",
        "$HOME/outside.py",
        "load.py\n",
        "load.py/../../outside.py",
        "link.py",
        "--help.py",
        ".",
        "..",
    )
]
SMUGGLED = [
    smuggled("flag as a parameter's name", {"parameters": {"--force": "x"}}),
    smuggled("equals in a name", {"parameters": {"a=b": "x"}}),
    smuggled("newline in a name", {"parameters": {"a\n": "x"}}),
    smuggled("digits of another script", {"parameters": {"a\u0661": "x"}}),
    smuggled("NUL in a value", {"parameters": {"a": "x\x00--force"}}, 422, "invalid-job"),
    smuggled("NUL in an argument", {"args": ["x\x00y"]}),
    smuggled("object as a value", {"parameters": {"a": {"b": 1}}}),
    smuggled("NUL in a script", {"script": "load.py\x00.txt"}, 422, "invalid-job"),
    smuggled("unknown member", {"submitted_by": "admin"}),
    smuggled("state", {"state": "succeeded"}),
    smuggled("LD_PRELOAD", {"environment": {"LD_PRELOAD": "/lib/x.so"}}, 422, "invalid-job"),
    smuggled("PYTHONPATH", {"environment": {"PYTHONPATH": "/lib"}}, 422, "invalid-job"),
    smuggled("BASH_ENV", {"environment": {"BASH_ENV": "/lib/x"}}, 422, "invalid-job"),
    smuggled("our own variable", {"environment": {"ETL_JOB_ID": ID}}, 422, "invalid-job"),
    smuggled("variable with equals", {"environment": {"A=B": "x"}}),
    smuggled("CRLF in a label", {"labels": {"team": "x\r\nSet-Cookie: a=b"}}),
    smuggled("escape sequence in a label", {"labels": {"team": "\x1b[2J"}}),
    smuggled("newline in a queue", {"queue": "default\n"}),
    smuggled("SQL in a queue", {"queue": "x'; DROP TABLE etl.job; --"}),
    Attack("smuggled command", "POST", JOBS, 403, "commands-not-allowed", json={"command": ["id"]}),
    Attack(
        "smuggled command beside a script", "POST", JOBS, 403, "commands-not-allowed",
        json={"script": "load.py", "command": ["id"]},
    ),
    Attack("smuggled shell line", "POST", JOBS, 400, "schema-broken", json={"command": "id; rm -rf /"}),
]  # fmt: skip
IDS = [
    job_id("1"),
    job_id("0"),
    job_id("-1"),
    job_id(ID.upper().replace("0", "A")),
    job_id("{" + ID + "}", "route-not-found"),
    job_id(f"urn:uuid:{ID}"),
    job_id(ID.replace("-", "")),
    job_id("9" * 300),
    job_id(f"{ID}'--"),
    job_id(ID),
    job_id("%2e%2e", "route-not-found"),
    job_id("..%2f..%2fetc%2fpasswd", "route-not-found"),
    job_id(f"{ID}%00", "route-not-found"),
    job_id(f"{ID}%0d%0aX:%20y", "route-not-found"),
    Attack("foreign key id", "DELETE", f"{KEYS}/{ID}", 404, "key-not-found"),
    Attack("odd key id", "DELETE", f"{KEYS}/1", 404, "key-not-found"),
]
TOKENS = [
    forged("expired", token(iat=NOW - DAY, nbf=NOW - DAY, exp=NOW - timedelta(seconds=1))),
    forged("of the future", token(nbf=NOW + DAY / 2)),
    forged("for ever", token(exp=NOW + 365 * DAY)),
    forged("for a day and a second", token(iat=NOW, exp=NOW + DAY + timedelta(seconds=1))),
    forged("of another issuer", token(iss="https://evil.example")),
    forged("for another audience", token(aud="other")),
    forged("without an end", token(exp=None)),
    forged("without a subject", token(sub=None)),
    forged("posing as maintenance", token(sub="maintenance")),
    forged("with a line break in its subject", token(sub="alice\nadmin")),
    forged("by another secret", token(key=SECRET[::-1])),
    forged("by a longer hash", issuer.token("HS512", scope="admin")),
    forged("by a key pair", issuer.token("RS256", scope="admin")),
    forged("without a signature", token().rpartition(".")[0] + "."),
    forged("with its end cut off", token()[:-4]),
    forged("that is a key without a prefix", "x" * 43),
    forged("that is not in ASCII", "\u00e9.\u00e9.\u00e9".encode().decode("latin-1")),
    forged("that is twelve thousand bytes long", "a." * 6000 + "a"),
    forged("that is an unknown key", "etl_" + "x" * 43),
]
ESCALATIONS = [
    escalation("to admin", "keys:write", scopes=["admin"]),
    escalation("to commands", "keys:write", scopes=["jobs:command"]),
    escalation("to one scope more", "keys:write jobs:read", scopes=["jobs:read", "jobs:cancel"]),
    escalation("to admin by token", f"Bearer {token(scope='keys:write')}", scopes=["admin"]),
    Attack("escalation without keys:write", "POST", KEYS, 403, "missing-scope", json={}, as_="jobs:read"),
    Attack("escalation by reading keys", "GET", KEYS, 403, "missing-scope", as_="jobs:read"),
    Attack("escalation by an unknown scope", "POST", KEYS, 400, "schema-broken",
           json={"name": "x", "scopes": ["*"]}),
    Attack("escalation by a member", "POST", KEYS, 400, "schema-broken",
           json={"name": "x", "scopes": ["jobs:read"], "created_by": "root"}),
    Attack("escalation by a name with a line break", "POST", KEYS, 400, "schema-broken",
           json={"name": "x\nadmin", "scopes": ["jobs:read"]}),
    Attack("escalation from submitting to a command", "POST", JOBS, 403, "missing-scope",
           json={"command": ["id"]}, as_="jobs:submit"),
]  # fmt: skip
BODIES = [
    body("too large", b'{"script": "' + b"x" * 2**20 + b'"}', 413, "body-too-large"),
    body("deflated", zlib.compress(b"{}"), 415, "unsupported-media-type", Content_Encoding="deflate"),
    body("gzip bomb", zlib.compress(b" " * 2**24), 415, "unsupported-media-type", Content_Encoding="gzip"),
    body("br", b"{}", 415, "unsupported-media-type", Content_Encoding="br"),
    body("deep", b'{"parameters": ' + DEEP, 400, "malformed-json"),
    body("deep and whole", DEEP + b"]" * 50_000, 400, "malformed-json"),
    body("no UTF-8", b'{"script": "\xff"}', 400, "malformed-json"),
    body("lone surrogate", b'{"script": "\\udc00"}', 400, "malformed-json"),
    body("NaN", b'{"script": "load.py", "priority": NaN}', 400, "malformed-json"),
    body("two documents", b'{"script": "load.py"}{"command": ["id"]}', 400, "malformed-json"),
    body("as a form", b"script=load.py", 415, "unsupported-media-type", Content_Type="text/plain"),
    body("as UTF-16", '{"script": "load.py"}'.encode("utf-16"), 415, "unsupported-media-type",
         Content_Type="application/json; charset=utf-16"),
    body("ten thousand parameters", b'{"script": "load.py", "parameters": {%b}}'
         % b",".join(b'"p%d": 1' % n for n in range(10_000)), 400, "schema-broken"),
]  # fmt: skip
DOORS = [
    Attack("stream without a key", "GET", f"{JOBS}/{ID}/log/stream", 401, "unauthenticated", as_="nobody"),
    Attack("stream without its scope", "GET", f"{JOBS}/{ID}/log/stream", 403, "missing-scope",
           as_="jobs:read"),
    Attack("key in the query", "GET", f"{JOBS}?api_key=x", 401, "unauthenticated", as_="nobody"),
    Attack("key in a cookie", "GET", JOBS, 401, "unauthenticated", as_="nobody", headers={"Cookie": "key=x"}),
    Attack("two credentials", "GET", JOBS, 400, "two-credentials", headers={"X-API-Key": "etl_x"}),
    Attack("basic", "GET", JOBS, 401, "wrong-scheme", as_="Basic YWRtaW46YWRtaW4="),
    Attack("page of another origin", "POST", JOBS, 403, "origin-not-allowed",
           json={"script": "load.py"}, headers={"Origin": "https://evil.example"}),
    Attack("sandboxed page", "GET", JOBS, 403, "origin-not-allowed", headers={"Origin": "null"}),
    Attack("preflight of another origin", "OPTIONS", JOBS, 403, "origin-not-allowed", as_="nobody",
           headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}),
    Attack("TRACE", "TRACE", JOBS, 405, "method-not-allowed"),
    Attack("method in a header", "GET", f"{KEYS}/{ID}", 405, "method-not-allowed",
           headers={"X-HTTP-Method-Override": "DELETE"}),
    Attack("double slash", "GET", "/api/v1//jobs", 401, "unauthenticated", as_="nobody"),
    Attack("matrix parameter", "GET", "/api/v1/jobs;admin=1", 404, "route-not-found", as_="nobody"),
    Attack("upper case", "GET", "/API/V1/JOBS", 404, "route-not-found", as_="nobody"),
    Attack("encoded letter", "GET", "/api/v1/job%73", 404, "route-not-found", as_="nobody"),
    Attack("file of the docs", "GET", "/api/docs/..", 404, "route-not-found", as_="nobody"),
    Attack("encoded file of the docs", "GET", "/api/docs/%2e%2e%2fx", 404, "route-not-found", as_="nobody"),
    Attack("file of the problems", "GET", "/problems/..%2f..%2fetc", 404, "route-not-found", as_="nobody"),
    Attack("forged cursor", "GET", f"{JOBS}?cursor=AAAA", 422, "invalid-cursor"),
    Attack("cursor with SQL", "GET", f"{JOBS}?cursor=' OR 1=1 --", 422, "invalid-cursor"),
    Attack("huge page", "GET", f"{JOBS}?limit=1000000", 400, "wrong-parameter"),
    Attack("negative page", "GET", f"{JOBS}?limit=-1", 400, "wrong-parameter"),
    Attack("page in other digits", "GET", f"{JOBS}?limit=\u0661", 400, "wrong-parameter"),
    Attack("line break in an idempotency key", "POST", JOBS, 400, "wrong-parameter",
           json={"script": "load.py"}, headers={"Idempotency-Key": "a b"}),
]  # fmt: skip
ATTACKS = [*TRAVERSALS, *SMUGGLED, *IDS, *TOKENS, *ESCALATIONS, *BODIES, *DOORS]


async def credential(site: ServedApi, as_: str) -> dict[str, str]:
    if as_ == "nobody":
        return {}
    if as_.startswith(("Bearer ", "Basic ")):
        return {"Authorization": as_}
    scopes = [Scope.ADMIN] if as_ == "admin" else [Scope(word) for word in as_.split()]
    return await site.key(*scopes)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_it_is_refused(site: ServedApi, attack: Attack) -> None:
    given = {**await credential(site, attack.as_), **attack.headers}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    async with site.stranger() as client:
        answer = await client.request(
            attack.method, attack.path, json=attack.json, content=attack.content, headers=headers
        )
    assert (answer.status_code, answer.json()["code"]) == (attack.status, attack.code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    for secret in (str(site.directory), "Traceback", "SELECT", "etl_" + "x" * 43, SECRET):
        assert secret not in answer.text


def test_there_are_more_than_a_hundred_and_each_has_its_own_name() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) > 100


async def test_nothing_of_all_that_became_a_job_or_a_key(site: ServedApi) -> None:
    assert (await site.client.get(JOBS)).json()["items"] == []
    names = {key["name"] for key in (await site.client.get(f"{KEYS}?limit=200")).json()["items"]}
    assert names <= {"admin", "alice"}

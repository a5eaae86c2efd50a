"""Everything is run at `debug` with secrets that can be told apart, and all output is searched for them."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.installation import Installation, until

NAMES = (
    "database password",
    "token secret",
    "header of the collector",
    "environment",
    "argument",
    "parameter",
    "idempotency key",
    "wrong key",
    "wrong header",
    "query",
    "search",
)
MARKS = {name: f"mark{secrets.token_hex(16)}" for name in NAMES}
"""Of hexadecimal digits: each stands for itself in a URL, in JSON and in a header."""

SETTINGS = {
    "ETL_TELEMETRY__LOG_LEVEL": "debug",
    "ETL_HTTP__JWT__SECRET": MARKS["token secret"],
    "ETL_HTTP__JWT__ISSUER": "https://issuer.example",
    "ETL_HTTP__JWT__AUDIENCE": "etl",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={MARKS['header of the collector']}",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "0.2",
    "OTEL_BSP_SCHEDULE_DELAY": "50",
}


def everything(own: Installation) -> list[str]:
    """Each kind of request and of end; the secrets that were made on the way."""
    job = {
        "script": own.script("load.sh", "echo loaded; exit $1\n"),
        "environment": {"DB_PASSWORD": MARKS["environment"]},
        "args": ["3", MARKS["argument"]],
        "parameters": {},
    }
    with own.http() as http:
        headers = {"Idempotency-Key": MARKS["idempotency key"]}
        made = http.post("/jobs", json=job, headers=headers).json()
        http.post("/jobs", json=job, headers=headers)
        own.ended(made["id"])
        marked = {"parameters": {"token": MARKS["parameter"]}, "args": []}
        own.ended(own.submit(**{**job, **marked, "concurrency": {"key": "one"}}))
        http.post("/jobs", json={**job, "script": "none.py"})
        http.get(f"/jobs/{made['id']}/log", params={"contains": MARKS["search"]})
        http.get("/jobs", params={"nothing": MARKS["query"]})
        http.post(f"/jobs/{made['id']}/retry")
        issued = str(http.post("/keys", json={"name": "n", "scopes": ["jobs:read"]}).json()["secret"])
        http.get("/jobs", headers={"Authorization": f"Bearer {issued}"})
        http.get("/jobs", headers={"Authorization": f"Bearer {MARKS['wrong key']}"})
        http.get("/jobs", headers={"Authorization": f"Basic {MARKS['wrong header']}"})
    return [issued, (own.data / "admin.key").read_text().strip()]


def output(own: Installation) -> Iterator[Path]:
    """What every process wrote; the log of a job itself is the program's own word."""
    yield from own.directory.glob("*.log")
    yield from own.data.rglob("supervisor.log")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_is_in_any_line_at_debug(
    own: Installation, empty_database_url: str, log_format: str
) -> None:
    """In a database that has yet to be made: else Alembic says nothing."""
    own.environ |= {
        **SETTINGS,
        "ETL_TELEMETRY__LOG_FORMAT": log_format,
        "ETL_DATABASE__URL": f"{empty_database_url} password={MARKS['database password']}",
    }
    own.serve()
    made = everything(own)
    log = own.directory / "serve.log"
    until(lambda: True if "otlp_unavailable" in log.read_text() else None, "a failed delivery")
    own.stop()
    text = "".join(path.read_text() for path in output(own))
    assert {name for name, mark in MARKS.items() if mark in text} == set()
    assert [secret for secret in made if secret in text] == []
    assert len(made[0]) > 20
    assert_said_enough(log.read_text(), log_format)


def assert_said_enough(text: str, log_format: str) -> None:
    """Else there would be nothing to find: requests, attempts, and libraries at debug."""
    for word in ("request_answered", "attempt_ended", "library", "uvicorn.error", "alembic"):
        assert word in text
    if log_format == "console":
        return
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    plain = [line for line in text.splitlines() if not line.startswith("{")]
    assert [line for line in plain if not line.startswith(("ETL Orchestrator", "  "))] == []
    submitted = next(line for line in lines if line.get("operation") == "submitJob")
    assert {"request_id", "trace_id", "principal", "status"} <= set(submitted)
    ended = [line for line in lines if line["event"] == "attempt_ended"]
    assert submitted["trace_id"] in {line["trace_id"] for line in ended}
    assert all({"job_id", "attempt", "fence"} <= set(line) for line in ended)


def test_a_statement_that_fails_does_not_tell_its_values(own: Installation, database_url: str) -> None:
    """Somebody broke the schema by hand: the stack is logged, the job's environment is not."""
    own.environ |= {"ETL_TELEMETRY__LOG_FORMAT": "json", "ETL_DATABASE__URL": database_url}
    own.serve()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE etl.job ADD CONSTRAINT broken CHECK (script <> 'load.sh')")
        connection.execute("ALTER TABLE etl.job_queue DROP COLUMN limit_count")
    job = {
        "script": own.script("load.sh", "exit 0\n"),
        "environment": {"DB_PASSWORD": MARKS["environment"]},
        "args": [MARKS["argument"]],
    }
    with own.http() as http:
        statuses = [
            http.post("/jobs", json={**job, "concurrency": concurrency}).status_code
            for concurrency in (None, {"key": "one"})
        ]
    own.stop()
    text = (own.directory / "serve.log").read_text()
    assert statuses == [500, 500]
    assert text.count("request_failed") == 2
    assert "Traceback" in text
    assert MARKS["environment"] not in text
    assert MARKS["argument"] not in text


def test_what_the_server_keeps_to_itself_stands_in_no_log_of_a_job(
    own: Installation, database_url: str
) -> None:
    """A script may read what its user may: a log is read by others. Each comes in two writes."""
    password = MARKS["database password"]
    address = f"{database_url} password={password}"
    own.environ |= {name: SETTINGS[name] for name in SETTINGS if name.startswith("ETL_HTTP__JWT")}
    own.environ["ETL_DATABASE__URL"] = address
    own.serve()
    issued = str(own.call("POST", "/keys", {"name": "n", "scopes": ["jobs:read"]})["secret"])
    admin = (own.data / "admin.key").read_text().strip()
    kept = [MARKS["token secret"], address, password, issued, admin]
    (own.directory / "kept").write_text("\n".join(kept))
    script = """
import sys, time
for secret in open("../kept"):
    for half in (secret[:20], secret[20:]):
        sys.stdout.write(half)
        sys.stdout.flush()
        time.sleep(0.1)
"""
    job = own.ended(own.submit(script=own.script("show.py", script)))
    assert job["state"] == "succeeded"
    keys = [f"{key[:12]}***" for key in (issued, admin)]
    assert own.log(job["id"]).splitlines() == ["***", "***", "***", *keys]

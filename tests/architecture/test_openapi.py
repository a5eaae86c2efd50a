"""The committed document is the served one; of a change it is said whether it would break a client."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrypoints.http.app import HttpConfig, routes_of
from entrypoints.http.openapi import document_of
from tests.architecture.openapi_changes import breaking
from tests.architecture.sources import ROOT
from tests.integration.http.api import Api

PATH = ROOT / "docs" / "openapi.json"
COMMAND = "./run openapi >docs/openapi.json"
Json = dict[str, Any]


def committed() -> Json:
    found: Json = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def served() -> Json:
    """As `etl openapi` prints it, of a server on the loopback."""
    app = routes_of(Api().use_cases(), HttpConfig(open_metrics=True))
    found: Json = json.loads(json.dumps(document_of(app)))
    found["info"]["version"] = committed()["info"]["version"]
    return found


def test_the_committed_document_is_the_served_one() -> None:
    old, new = committed(), served()
    if found := breaking(old, new):
        pytest.fail("This would break clients (/api/versioning): " + "; ".join(found))
    if old != new:
        pytest.fail(f"The API has changed, and no client notices. Commit the new document: {COMMAND}")


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_command_prints_the_committed_document_byte_for_byte(seed: str, tmp_path: Path) -> None:
    """Whatever the order of the sets that the router keeps its handlers in."""
    environment = {"PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]}
    program = [sys.executable, "-P", str(ROOT / "src/entrypoints/cli/__main__.py"), "openapi"]
    told = subprocess.run(program, cwd=tmp_path, env=environment, check=True, capture_output=True).stdout
    assert told == PATH.read_bytes(), COMMAND


def submit(new: Json) -> Json:
    return dict(new["paths"]["/api/v1/jobs"]["post"])


def schema(new: Json, name: str) -> Json:
    found: Json = new["components"]["schemas"][name]
    return found


def members(new: Json, name: str) -> Json:
    found: Json = schema(new, name)["properties"]
    return found


BREAKING: dict[str, Callable[[Json], object]] = {
    "GET /api/v1/jobs/{job_id} is gone": lambda new: new["paths"]["/api/v1/jobs/{job_id}"].pop("get"),
    "POST /api/v1/jobs: the operation is called sendJob and was submitJob": lambda new: new["paths"][
        "/api/v1/jobs"
    ]["post"].update(operationId="sendJob"),
    "POST /api/v1/jobs: the parameter Idempotency-Key is gone": lambda new: submit(new)["parameters"].clear(),
    "POST /api/v1/jobs: the parameter Idempotency-Key is required now": lambda new: submit(new)["parameters"][
        0
    ].update(required=True),
    "POST /api/v1/jobs: a new parameter tenant is required": lambda new: submit(new)["parameters"].append(
        {"name": "tenant", "in": "query", "required": True, "schema": {"type": "string"}}
    ),
    "POST /api/v1/jobs: 201 is gone": lambda new: submit(new)["responses"].pop("201"),
    "POST /api/v1/jobs: 202 is a new answer": lambda new: submit(new)["responses"].update({"202": {}}),
    "POST /api/v1/jobs: 201: the header Location is gone": lambda new: submit(new)["responses"]["201"][
        "headers"
    ].pop("Location"),
    "GET /health/live: asks for a key now": lambda new: new["paths"]["/health/live"]["get"].update(
        security=[{"bearer": ["admin"]}]
    ),
    "JobRequest in a request: labels is gone": lambda new: members(new, "JobRequest").pop("labels"),
    "JobRequest in a request: script is required now": lambda new: schema(new, "JobRequest").update(
        required=["script"]
    ),
    "JobRequest in a request: script: null is no longer taken": lambda new: members(new, "JobRequest")[
        "script"
    ]["anyOf"].pop(),
    "JobRequest in a request: priority: maximum is 10 now": lambda new: members(new, "JobRequest")[
        "priority"
    ].update(maximum=10),
    "JobRequest in a request: priority: what is left out means 5 now": lambda new: members(new, "JobRequest")[
        "priority"
    ].update(default=5),
    "JobRequest in a request: queue: pattern is another now": lambda new: members(new, "JobRequest")[
        "queue"
    ].update(pattern="^[a-z]+$"),
    "Scope in a request: 'jobs:read' is no longer taken": lambda new: schema(new, "Scope")["enum"].remove(
        "jobs:read"
    ),
    "JobView in an answer: reason is gone": lambda new: members(new, "JobView").pop("reason"),
    "JobView in an answer: id may be missing now": lambda new: schema(new, "JobView")["required"].remove(
        "id"
    ),
    "JobView in an answer: priority: string is a new type": lambda new: members(new, "JobView")[
        "priority"
    ].update(type="string"),
    "JobState in an answer: 'paused' is a new value": lambda new: schema(new, "JobState")["enum"].append(
        "paused"
    ),
}


@pytest.mark.parametrize("sentence", BREAKING)
def test_a_change_that_breaks_clients_is_told_by_name(sentence: str) -> None:
    new = copy.deepcopy(committed())
    BREAKING[sentence](new)
    assert sentence in breaking(committed(), new)


COMPATIBLE: dict[str, Callable[[Json], object]] = {
    "a new operation": lambda new: new["paths"].update({"/api/v1/new": {"get": {}}}),
    "an optional member of a request": lambda new: members(new, "JobRequest").update(
        colour={"type": "string"}
    ),
    "an optional parameter": lambda new: submit(new)["parameters"].append(
        {"name": "tenant", "in": "query", "schema": {"type": "string"}}
    ),
    "a wider limit": lambda new: members(new, "JobRequest")["priority"].update(maximum=1000),
    "a new member of an answer": lambda new: (
        members(new, "JobView").update(colour={"type": "string"}),
        schema(new, "JobView")["required"].append("colour"),
    ),
    "a new error": lambda new: submit(new)["responses"].update({"418": {}}),
    "another wording": lambda new: submit(new).update(summary="Other words"),
    "a new header": lambda new: submit(new)["responses"]["201"]["headers"].update(New={}),
}


@pytest.mark.parametrize("change", COMPATIBLE)
def test_what_the_policy_allows_breaks_nobody(change: str) -> None:
    new = copy.deepcopy(committed())
    COMPATIBLE[change](new)
    assert new != committed() or change == "another wording"
    assert breaking(committed(), new) == []

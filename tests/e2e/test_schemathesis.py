"""The served document against the running product, by a tool that believes the document only."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation

CONFIG = Path(__file__).with_name("schemathesis.toml")
ALL_PHASES = "examples,coverage,fuzzing,stateful"
SCRIPTS = ("load_orders.py", "load.py")
"""Those of the document's examples."""

LEFT_OUT = 1
"""The live log; schemathesis.toml says why."""

UNLIMITED = ["--http.rate_limit=off", "--http.failure_limit=off"]
"""The tool takes every 429 for an answer that it need not look at."""


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Commands stay off: the tool makes up argvs. What it submits are two scripts that do nothing."""
    installation = Installation(tmp_path_factory.mktemp("fuzzed"), UNLIMITED)
    for name in SCRIPTS:
        installation.script(name, "")
    installation.serve()
    yield installation
    installation.stop()


def key_of(installation: Installation, *scopes: str) -> str:
    issued = installation.call("POST", "/keys", {"name": "schemathesis", "scopes": scopes})
    return str(issued["secret"])


def examined(installation: Installation, key: str, phases: str, examples: int) -> None:
    """Fails with the tool's own words."""
    report = installation.directory / "report.json"
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)]
    run = ["run", f"{installation.server['url']}/api/openapi.json", "--checks=all", "--seed=1", "--no-color"]
    how = [f"--phases={phases}", f"--max-examples={examples}", "--generation-database=none"]
    told = ["--report=json", f"--report-json-path={report}", "--request-timeout=70", "--warnings=off"]
    done = subprocess.run(
        [*program, *run, *how, *told],
        cwd=installation.directory,
        env={**installation.environment(), "ETL_API_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert (found["complete"], found["failures"], found["errors"]) == (True, [], [])
    assert found["operations"]["tested"] == found["operations"]["total"] - LEFT_OUT > 20
    assert found["test_cases"]["generated"] > 500


@pytest.mark.timeout(3600)  # --api-examples=100 took 83 s on four busy cores
def test_the_product_keeps_to_its_document(fuzzed: Installation, request: pytest.FixtureRequest) -> None:
    examples = int(request.config.getoption("--api-examples"))
    examined(fuzzed, key_of(fuzzed, "admin"), ALL_PHASES, examples)


@pytest.mark.timeout(600)
def test_the_document_says_what_a_key_of_few_scopes_gets(fuzzed: Installation) -> None:
    examined(fuzzed, key_of(fuzzed, "jobs:read", "logs:read", "queues:write"), "examples,coverage", 1)

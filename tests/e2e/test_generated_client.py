"""A client that a generator makes from the served document: it fits its types, and it works."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import Installation

MYPY = """\
[mypy]
strict = true
# The generator's own frame, the same for every document: it passes *args on to httpx untyped.
[mypy-client.client]
ignore_errors = true
"""

PROGRAM = '''\
"""What a user would write: submit, wait, read the log, cancel."""

import sys
from uuid import UUID

from client import AuthenticatedClient
from client.api.jobs import cancel_job, list_jobs, read_job, submit_job
from client.api.logs import read_log
from client.models import (
    JobPage,
    JobRequest,
    JobRequestParameters,
    JobState,
    JobView,
    ListJobsJobState,
    Problem,
    ReadLogStream,
)

url, key = sys.argv[1:]


def submitted(client: AuthenticatedClient, script: str, period: str = "2026-01") -> UUID:
    parameters = JobRequestParameters.from_dict({"period": period})
    job = submit_job.sync(client=client, body=JobRequest(script=script, parameters=parameters))
    assert isinstance(job, JobView), job
    return job.id


def ended(client: AuthenticatedClient, job_id: UUID) -> JobView:
    while True:
        job = read_job.sync(job_id, client=client, wait=20.0)
        assert isinstance(job, JobView), job
        if job.state not in (JobState.QUEUED, JobState.RUNNING):
            return job


with AuthenticatedClient(base_url=url, token=key, timeout=None) as client:
    first = submitted(client, "load_orders.py")
    assert ended(client, first).state is JobState.SUCCEEDED
    text = read_log.sync(first, client=client, stream=ReadLogStream.STDOUT)
    assert text == "loaded --period=2026-01\\n", text

    second = submitted(client, "waits.py")
    asked = cancel_job.sync_detailed(second, client=client)
    assert asked.status_code in (200, 202), asked
    assert ended(client, second).state is JobState.CANCELLED

    page = list_jobs.sync(client=client, state=[ListJobsJobState.CANCELLED])
    assert isinstance(page, JobPage)
    assert [job.id for job in page.items] == [second]

    unknown = submit_job.sync(client=client, body=JobRequest(script="nothing.py"))
    assert isinstance(unknown, Problem)
    assert (unknown.code, unknown.errors[0].pointer) == ("unknown-script", "/script")
'''


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("served"))
    installation.script("load_orders.py", "import sys; print('loaded', *sys.argv[1:])")
    installation.script("waits.py", "import time; time.sleep(600)")
    installation.serve()
    yield installation
    installation.stop()


@pytest.fixture(scope="module")
def written(served: Installation) -> Path:
    """The directory in which the generated package and the user's program lie."""
    place = served.directory / "user"
    place.mkdir()
    document = httpx.get(f"{served.server['url']}/api/openapi.json", trust_env=False).text
    (place / "openapi.json").write_text(document)
    (place / "program.py").write_text(PROGRAM)
    (place / "mypy.ini").write_text(MYPY)
    # A warning is a part of the document that the generator had to leave out.
    module = ["openapi_python_client", "generate", "--path", "openapi.json"]
    run(place, "-m", *module, "--output-path", "client", "--meta", "none", "--fail-on-warning")
    return place


def run(directory: Path, *arguments: str) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # ruff, for the generator
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**os.environ, "PATH": programs},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_generated_client_and_a_program_that_uses_it_fit_their_types(written: Path) -> None:
    run(
        written,
        "-m",
        "mypy",
        "--config-file",
        "mypy.ini",
        "--cache-dir",
        "mypy-cache",
        "client",
        "program.py",
    )


def test_the_generated_client_submits_waits_reads_the_log_and_cancels(
    served: Installation, written: Path
) -> None:
    key = (served.data / "admin.key").read_text().strip()
    run(written, "program.py", served.server["url"], key)

"""The form of log lines. Each test configures a process of its own: logging is global."""

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from tests.architecture.sources import SRC

SECRET = "mark-7Qx9"  # noqa: S105 - it is looked for in the output
PROGRAM = f"""
import logging, sys, warnings
sys.path.insert(0, {str(SRC)!r})
import structlog
from entrypoints import telemetry
telemetry.configure(sys.argv[1], sys.argv[2])
log = structlog.get_logger()
log.debug("small_thing")
log.info("thing", job_id="7")
logging.getLogger("uvicorn.error").info("Started server process [%d]", 12)
logging.getLogger("sqlalchemy.engine").info("SELECT {SECRET}")
logging.getLogger("adapters.postgres.pooling.CountedPool").info("{SECRET}")
logging.getLogger("httpcore.http11").debug("Authorization: {SECRET}")
logging.getLogger("alembic.runtime.migration").info("Context impl PostgresqlImpl.")
warnings.warn("old")
def fail(password):
    environment = {{"DB_PASSWORD": password}}
    raise ValueError("it failed")
try:
    fail("".join(["mark", "-7Qx9"]))
except ValueError:
    log.exception("fault")
    logging.getLogger("asyncio").exception("Task exception was never retrieved")
"""


def written(log_format: str, level: str) -> str:
    argv = [sys.executable, "-c", PROGRAM, log_format, level]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    return ended.stderr


def parsed(level: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written("json", level).splitlines()]


def test_every_line_is_json_with_an_event_a_level_and_a_time() -> None:
    found = parsed("info")
    assert [line["event"] for line in found] == ["thing", "library", "library", "fault", "library"]
    assert all({"event", "level", "timestamp"} <= set(line) for line in found)
    assert found[0]["job_id"] == "7"


def test_lines_of_libraries_have_the_same_form_and_say_whose_they_are() -> None:
    server, warning, _ = (line for line in parsed("info") if line["event"] == "library")
    assert (server["event"], server["message"]) == ("library", "Started server process [12]")
    assert (warning["level"], "UserWarning: old" in warning["message"]) == ("warning", True)


def test_the_level_decides_from_which_weight_on() -> None:
    assert [line["event"] for line in parsed("error")] == ["fault", "library"]
    told = {line.get("logger", line["event"]) for line in parsed("debug")}
    assert {"small_thing", "alembic.runtime.migration"} <= told


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_stack_is_told_without_the_variables_of_its_frames(log_format: str) -> None:
    text = written(log_format, "debug")
    assert "ValueError: it failed" in text
    assert "Traceback (most recent call last)" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("environ", "colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_a_terminal_that_shows_them(environ: dict[str, str], *, colours: bool) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", PROGRAM, "console", "error"]
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(argv, stderr=theirs, env={**kept, "TERM": "xterm", **environ}, check=True)
    shown = os.read(ours, 100)
    os.close(ours)
    os.close(theirs)
    assert shown
    assert (b"\x1b[" in shown) is colours

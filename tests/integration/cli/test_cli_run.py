"""`etl run` is as if the script ran here."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import PROGRAM, Etl, environment
from tests.integration.cli.fake_server import CUT, JOB_ID, FakeServer, job, line


def plays(fake: FakeServer, final: dict[str, Any], **streams: bytes) -> None:
    """One job with one attempt that wrote this."""
    fake.answers["POST /jobs"] = (201, job("queued", attempt=0))
    fake.logs = {1: streams}
    fake.events = [("state", job("running")), line(1, "x"), ("state", final), ("end", final)]


def test_stdout_comes_on_stdout_and_stderr_on_stderr_byte_for_byte(fake: FakeServer, etl: Etl) -> None:
    out, err = bytes(range(256)) * 300 + b"no newline at the end", b"caf\xe9\r\n\x1b[31mred\x1b[0m"
    plays(fake, job(), stdout=out, stderr=err)
    done = etl("run", "load.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, out, err)


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        ({"reason": {"code": "exit", "exit_code": 3, "message": "Exited with status 3."}}, 3),
        ({"reason": {"code": "signal", "signal": "SIGKILL", "message": "Killed by SIGKILL."}}, 137),
        ({"reason": {"code": "signal", "signal": "signal 64", "message": "Killed by signal 64."}}, 192),
        ({"reason": {"code": "could_not_start", "message": "No such file."}}, 126),
        ({"outcome": "timed_out", "reason": {"code": "timeout", "signal": "SIGTERM", "message": "…"}}, 124),
        ({"outcome": "lost", "reason": {"code": "lost", "message": "Its worker died."}}, 1),
        (
            {"state": "cancelled", "outcome": "cancelled", "reason": {"code": "cancelled", "message": "…"}},
            130,
        ),
    ],
)
def test_the_exit_code_is_what_a_shell_would_say(
    fake: FakeServer, etl: Etl, ended: dict[str, Any], status: int
) -> None:
    plays(fake, job("failed") | ended, stdout=b"x\n")
    assert etl("run", "load.py").returncode == status


def test_what_an_exit_code_cannot_say_stands_on_stderr(fake: FakeServer, etl: Etl) -> None:
    reason = {"code": "timeout", "message": "Stopped after its timeout of 5 s."}
    plays(fake, job("failed", outcome="timed_out", reason=reason), stdout=b"x\n")
    assert etl("run", "load.py").stderr == f"etl: job {JOB_ID} failed: {reason['message']}\n".encode()


def test_a_plain_failure_adds_nothing_to_stderr(fake: FakeServer, etl: Etl) -> None:
    plays(fake, job("failed", reason={"code": "exit", "exit_code": 3, "message": "…"}), stderr=b"oh\n")
    assert etl("run", "load.py").stderr == b"oh\n"


def test_the_request_holds_all_that_was_said(fake: FakeServer, etl: Etl) -> None:
    fake.answers["POST /jobs"] = (201, job("queued"))
    flags = "--detach --param period=2026-01 --param full --param region=eu --param region=us --env A=b=c"
    more = "--queue q --priority -5 --timeout 5m --max-attempts 3 --label team=fin --concurrency-key k"
    limits = "--memory 2GiB --cpu 10m"
    times = "--not-before 2026-12-01T04:00:00+01:00 --idempotency-key once"
    done = etl("run", *f"{flags} {more} {limits} {times} load.py -- --flag -- x".split())
    assert (done.returncode, done.stdout.decode()) == (0, f"{JOB_ID}\n")
    assert fake.requests[-1] == (
        "POST /jobs",
        {
            "script": "load.py",
            "args": ["--flag", "--", "x"],
            "parameters": {"period": "2026-01", "full": True, "region": ["eu", "us"]},
            "environment": {"A": "b=c"},
            "queue": "q",
            "priority": -5,
            "timeout_seconds": 300.0,
            "retry": {"max_attempts": 3},
            "labels": {"team": "fin"},
            "not_before": "2026-12-01T04:00:00+01:00",
            "concurrency": {"key": "k"},
            "resources": {"memory_bytes": 2**31, "cpu_seconds": 600.0},
        },
    )
    assert fake.headers[-1]["Idempotency-Key"] == "once"
    assert fake.headers[-1]["Authorization"] == "Bearer etl_secret"


def test_a_command_is_an_argv(fake: FakeServer, etl: Etl) -> None:
    fake.answers["POST /jobs"] = (201, job("queued"))
    etl("run", "--detach", "--command", "--", "ls", "-l", "a b")
    assert fake.requests[-1] == ("POST /jobs", {"command": ["ls", "-l", "a b"]})


def test_a_lost_connection_is_resumed_behind_the_last_line(fake: FakeServer, etl: Etl) -> None:
    plays(fake, job(), stdout=b"one\ntwo\n")
    fake.events = [("state", job("running")), line(1, "one"), CUT, line(2, "two"), ("end", job())]
    done = etl("run", "load.py")
    assert (done.returncode, done.stdout) == (0, b"one\ntwo\n")
    streams = [h for (c, _), h in zip(fake.requests, fake.headers, strict=True) if c.endswith("/log/stream")]
    assert [h.get("Last-Event-ID") for h in streams] == [None, "1.1"]


def test_a_server_that_restarts_is_waited_for_and_told(fake: FakeServer, etl: Etl) -> None:
    plays(fake, job(), stdout=b"one\ntwo\n")
    leave = ("reconnect", {"detail": "The server stops."})
    fake.events = [("state", job("running")), line(1, "one"), leave, CUT, line(2, "two"), ("end", job())]
    done = etl("run", "load.py")
    assert (done.returncode, done.stdout) == (0, b"one\ntwo\n")
    assert b"the server restarts" in done.stderr
    streams = [h for (c, _), h in zip(fake.requests, fake.headers, strict=True) if c.endswith("/log/stream")]
    assert [h.get("Last-Event-ID") for h in streams] == [None, "1.1"]


def test_an_attempt_whose_log_has_gone_does_not_end_the_copy(fake: FakeServer, etl: Etl) -> None:
    plays(fake, job(), stdout=b"two\n")
    gone = ("gone", {"code": "log-gone", "detail": "Retention has deleted it."})
    fake.events = [("state", job("running")), gone, line(2, "two"), ("end", job())]
    done = etl("run", "load.py")
    assert (done.returncode, done.stdout) == (0, b"two\n")


def test_a_log_on_another_machine_is_told_once_and_the_exit_code_is_still_the_scripts(
    fake: FakeServer, etl: Etl
) -> None:
    plays(fake, job("failed", reason={"code": "exit", "exit_code": 3, "message": "…"}))
    fake.answers[f"GET /jobs/{JOB_ID}/log"] = (421, {"detail": "This log was written on node-7."})
    done = etl("run", "load.py")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"etl: This log was written on node-7.\n")


def test_every_attempt_is_shown_in_order(fake: FakeServer, etl: Etl) -> None:
    fake.answers["POST /jobs"] = (201, job("queued", attempt=0))
    fake.logs = {1: {"stdout": b"first try\n"}, 2: {"stdout": b"second try\n"}}
    final = job(attempt=2)
    fake.events = [("state", job("running")), ("state", job("queued")), ("state", final), ("end", final)]
    assert etl("run", "load.py").stdout == b"first try\nsecond try\n"


def test_a_job_that_was_cancelled_while_it_waited_has_no_log(fake: FakeServer, etl: Etl) -> None:
    fake.answers["POST /jobs"] = (201, job("queued", attempt=0))
    final = job("cancelled", attempt=0, reason={"code": "cancelled", "message": "Cancelled while queued."})
    fake.events = [("state", final), ("end", final)]
    done = etl("run", "load.py")
    assert (done.returncode, done.stdout) == (130, b"")


def test_ctrl_c_asks_the_server_to_cancel_and_waits_for_the_end(fake: FakeServer, tmp_path: Path) -> None:
    plays(fake, job(), stdout=b"working\n")
    final = job("cancelled", reason={"code": "cancelled", "message": "Stopped."})
    cancel = f"POST /jobs/{JOB_ID}/cancel"
    fake.answers[cancel] = (202, job("running"))

    def when_cancelled() -> dict[str, Any]:
        fake.wait_for(cancel)
        fake.logs[1]["stdout"] += b"stopped\n"
        return final

    fake.events = [("state", job("running")), line(1, "working"), ("end", when_cancelled)]
    process = _started(fake, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"working\n"
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (130, b"stopped\n")


def test_ctrl_c_while_the_server_is_away_is_told_in_a_line(fake: FakeServer, tmp_path: Path) -> None:
    plays(fake, job(), stdout=b"working\n")
    (tmp_path / ".etl").mkdir()
    address = tmp_path / ".etl" / "server.json"
    address.write_text(json.dumps({"url": fake.url, "pid": os.getpid()}))

    def when_told() -> dict[str, Any]:
        fake.wait_for("POST /told")
        return job()

    fake.events = [("state", job("running")), line(1, "working"), ("end", when_told)]
    process = _started(fake, tmp_path, ETL_URL="", ETL_API_KEY="")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"working\n"
    address.unlink()
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith(b"etl: cancelling")
    assert process.stderr.readline().startswith(b"etl: No server runs here")
    fake.note("POST /told", None, {})
    assert process.communicate(timeout=30) == (b"", b"")


def test_a_second_ctrl_c_leaves_the_job_alone(fake: FakeServer, tmp_path: Path) -> None:
    plays(fake, job(), stdout=b"working\n")
    cancel = f"POST /jobs/{JOB_ID}/cancel"
    fake.answers[cancel] = (202, job("running"))

    def never() -> dict[str, Any]:
        fake.wait_for("POST /never", 20)
        return job()

    fake.events = [("state", job("running")), line(1, "working"), ("end", never)]
    process = _started(fake, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    fake.wait_for(cancel)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)
    fake.note("POST /never", None, {})
    assert process.returncode == 130
    assert f"left job {JOB_ID}".encode() in err


def _started(fake: FakeServer, directory: Path, **more: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", PROGRAM, "run", "load.py"],
        cwd=directory,
        env=environment(fake, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_refusal_is_told_with_its_places(fake: FakeServer, etl: Etl) -> None:
    places = [{"pointer": "/timeout_seconds", "detail": "must be more than 0"}]
    fake.answers["POST /jobs"] = (400, {"detail": "It does not fit.", "errors": places})
    done = etl("run", "load.py")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"etl: It does not fit.\n  /timeout_seconds: must be more than 0\n"


def test_what_was_given_empty_or_as_zero_is_not_left_out(fake: FakeServer, etl: Etl) -> None:
    fake.answers["POST /jobs"] = (400, {"detail": "It does not fit."})
    etl("run", "load.py", "--concurrency-key", "", "--max-attempts", "0")
    _, body = fake.requests[-1]
    assert (body["concurrency"], body["retry"]) == ({"key": ""}, {"max_attempts": 0})


@pytest.mark.parametrize("key", ["", "two words", "clé"])
def test_an_idempotency_key_that_no_header_holds_is_bad_usage(fake: FakeServer, etl: Etl, key: str) -> None:
    done = etl("run", "load.py", "--idempotency-key", key)
    assert (done.returncode, fake.requests) == (2, [])
    assert done.stderr.startswith(b"etl: --idempotency-key")


@pytest.mark.parametrize(
    "arguments",
    ["run", "run a.py --timeout 5", "run a.py --env A", "run a.py --not-before soon", "run a.py --nope"],
)
def test_bad_usage_ends_with_2_before_anything_is_sent(fake: FakeServer, etl: Etl, arguments: str) -> None:
    done = etl(*arguments.split())
    assert (done.returncode, fake.requests) == (2, [])
    assert done.stderr

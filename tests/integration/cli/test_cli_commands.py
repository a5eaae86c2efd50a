"""The other commands: what they ask the server, and how they show its answer."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import PROGRAM, Etl, environment
from tests.integration.cli.fake_server import CUT, JOB_ID, FakeServer, job, line, page


def test_ls_shows_a_line_a_job_and_passes_its_filters_on(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /jobs"] = page(job(parameters={"period": "2026-01"}))
    shown = etl(
        "ls", "--queue", "q", "--state", "failed", "--label", "team=fin", "--limit", "7"
    ).stdout.decode()
    assert shown.splitlines()[0].split() == ["ID", "STATE", "ATTEMPT", "QUEUE", "SUBMITTED", "PROGRAM"]
    assert f"{JOB_ID}  succeeded  1/1      default  2026-11-23 01:02:03Z" in shown
    assert shown.endswith("load.py --period=2026-01\n")
    assert fake.requests[-1][1] == {"queue": "q", "state": "failed", "label": "team:fin", "limit": "7"}


def test_ls_as_json_is_an_array_and_goes_on_to_the_limit(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /jobs"] = page(job(), next_cursor="more")
    assert json.loads(etl("ls", "--json", "--limit", "3").stdout) == [job(), job(), job()]
    assert [query["limit"] for _, query in fake.requests] == ["3", "2", "1"]
    assert fake.requests[-1][1]["cursor"] == "more"


def test_control_characters_in_names_do_not_reach_the_terminal(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /jobs"] = page(job(script="a\x1b]0;evil\x07\n.py"))
    shown = etl("ls").stdout
    assert b"\x1b" not in shown
    assert len(shown.splitlines()) == 2


def test_a_prefix_that_names_one_job_is_enough(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /jobs"] = page(job())
    fake.answers[f"GET /jobs/{JOB_ID}"] = (200, job())
    assert json.loads(etl("show", "01934b5e", "--json").stdout) == job()
    assert fake.requests[0] == ("GET /jobs", {"id_prefix": "01934b5e", "limit": "2"})


def test_a_prefix_of_several_jobs_or_none_is_refused(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /jobs"] = page(job(), job())
    assert b"More than one job's id begins with '01'" in etl("show", "01").stderr
    fake.answers["GET /jobs"] = page()
    done = etl("show", "01")
    assert (done.returncode, done.stderr) == (1, b"etl: No job's id begins with '01'.\n")


def test_show_tells_why_a_job_failed(fake: FakeServer, etl: Etl) -> None:
    reason = {"code": "exit", "message": "Exited with status 3.", "last_lines": ["Traceback", "ValueError"]}
    usage = {"wall_seconds": 1.5, "cpu_seconds": 0.25, "max_rss_bytes": 10 * 2**20}
    fake.answers[f"GET /jobs/{JOB_ID}"] = (200, job("failed", reason=reason, usage=usage))
    shown = etl("show", JOB_ID).stdout.decode()
    for expected in ("Exited with status 3.", "ValueError", "1.50 s, 0.25 s of CPU, 10 MiB"):
        assert expected in shown


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (job("queued", attempt=0, waiting_for="Queue 'q' is paused."), "Queued. Queue 'q' is paused.\n"),
        (job("running"), "Running on host:1 since 2026-11-23 01:02:04Z, attempt 1 of 1.\n"),
        (
            job("failed", reason={"message": "Exited with status 3."}),
            "Failed at 2026-11-23 01:02:05Z, attempt 1 of 1. Exited with status 3.\n",
        ),
    ],
)
def test_explain_is_a_sentence(fake: FakeServer, etl: Etl, found: dict[str, object], sentence: str) -> None:
    fake.answers[f"GET /jobs/{JOB_ID}"] = (200, found)
    assert etl("explain", JOB_ID).stdout.decode() == sentence


def test_cancel_goes_on_after_a_job_that_cannot_be_cancelled(fake: FakeServer, etl: Etl) -> None:
    other = JOB_ID[:-1] + "2"
    fake.answers[f"POST /jobs/{JOB_ID}/cancel"] = (409, {"detail": "It has already succeeded."})
    fake.answers[f"POST /jobs/{other}/cancel"] = (200, job("cancelled", id=other))
    done = etl("cancel", JOB_ID, other)
    assert (done.returncode, done.stderr) == (1, b"etl: It has already succeeded.\n")
    assert done.stdout.decode() == f"{other} cancelled\n"


def test_retry_prints_the_new_job(fake: FakeServer, etl: Etl) -> None:
    fake.answers[f"POST /jobs/{JOB_ID}/retry"] = (201, job("queued", id="new"))
    assert etl("retry", JOB_ID).stdout == b"new\n"


def test_logs_are_the_bytes_as_written(fake: FakeServer, etl: Etl) -> None:
    fake.logs = {1: {"stdout": b"\xff\x00 no newline"}}
    assert etl("logs", JOB_ID).stdout == b"\xff\x00 no newline"


def test_logs_follow_from_the_last_lines_on(fake: FakeServer, etl: Etl) -> None:
    lines = b"".join(b"%06d\n" % number for number in range(20_000))
    fake.logs = {1: {"stdout": lines}}
    fake.answers[f"GET /jobs/{JOB_ID}"] = (200, job("running"))

    def more() -> dict[str, object]:
        fake.logs[1]["stdout"] += b"the end\n"
        return job()

    fake.events = [("state", job("running")), line(1, "x"), ("end", more)]
    assert etl("logs", JOB_ID, "-f", "--tail", "2").stdout == b"019998\n019999\nthe end\n"
    fake.events = [("end", job())]
    assert etl("logs", JOB_ID, "-f", "--tail", "15000").stdout == lines[-7 * 14999 :] + b"the end\n"


def test_logs_with_timestamps_resume_after_a_lost_connection(fake: FakeServer, etl: Etl) -> None:
    fake.events = [line(1, "one\u2028still one"), CUT, line(2, "two", "stderr"), ("end", job())]
    done = etl("logs", JOB_ID, "-f", "--timestamps")
    assert done.stdout.decode() == (
        "2026-11-23T01:02:04.5Z stdout one\u2028still one\n2026-11-23T01:02:04.5Z stderr two\n"
    )
    assert b"the connection is lost" in done.stderr


def test_the_last_lines_with_timestamps_of_a_job_that_has_no_log_yet_are_waited_for(
    fake: FakeServer, etl: Etl
) -> None:
    fake.events = [line(1, "a"), ("end", job())]
    done = etl("logs", JOB_ID, "--follow", "--tail", "5", "--timestamps")
    assert (done.returncode, done.stdout) == (0, b"2026-11-23T01:02:04.5Z stdout a\n")
    assert etl("logs", JOB_ID, "--tail", "5", "--timestamps").returncode == 1


def test_a_terminal_gets_colours_and_no_other_escapes(fake: FakeServer, tmp_path: Path) -> None:
    fake.logs = {1: {"stdout": b"\x1b[31mred\x1b[0m \x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[1A\xc2\x9b2Jend\n"}}
    assert _on_a_terminal(fake, tmp_path, "logs", JOB_ID) == b"\x1b[31mred\x1b[0m 2Jend\r\n"


def test_colours_are_for_terminals_and_no_color_is_obeyed(fake: FakeServer, etl: Etl, tmp_path: Path) -> None:
    fake.answers["GET /jobs"] = page(job())
    assert b"\x1b[32msucceeded" in _on_a_terminal(fake, tmp_path, "ls")
    assert b"\x1b" not in _on_a_terminal(fake, tmp_path, "ls", NO_COLOR="1")
    assert b"\x1b" not in etl("ls").stdout


def _on_a_terminal(fake: FakeServer, directory: Path, *arguments: str, **more: str) -> bytes:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        subprocess.run(
            [sys.executable, "-I", PROGRAM, *arguments],
            cwd=directory,
            env=environment(fake, TERM="xterm", **more),
            stdout=theirs,
            timeout=60,
            check=True,
        )
        os.close(theirs)
        read = b""
        try:
            while piece := terminal.read(4096):
                read += piece
        except OSError:  # Linux ends a terminal that nobody holds with EIO
            pass
        return read


def test_queues_are_listed_paused_resumed_and_limited(fake: FakeServer, etl: Etl) -> None:
    queue = {"name": "q/1", "slots": None, "waiting": 3, "scheduled": 0, "running": 1, "paused_by": "ann"}
    fake.answers["GET /queues"] = page(queue)
    assert etl("queues").stdout.decode().splitlines()[1].split() == ["q/1", "-", "3", "0", "1", "-", "ann"]
    assert json.loads(etl("queues", "--json").stdout) == [queue]
    for call in ("POST /queues/q%2F1/pause", "POST /queues/q%2F1/resume", "PATCH /queues/q%2F1"):
        fake.answers[call] = (200, queue)
    assert etl("queues", "pause", "q/1").returncode == 0
    assert etl("queues", "resume", "q/1").returncode == 0
    assert etl("queues", "set", "q/1", "--slots", "4").returncode == 0
    assert fake.requests[-1] == ("PATCH /queues/q%2F1", {"slots": 4})
    etl("queues", "set", "q/1", "--slots", "none")
    assert fake.requests[-1][1] == {"slots": None}
    assert etl("queues", "set", "q/1", "--slots", "many").returncode == 2


def test_workers_are_listed_and_drained_by_prefix(fake: FakeServer, etl: Etl) -> None:
    worker = {"id": "0193-w", "host": "h", "pid": 7, "state": "up", "slots": 4, "running": 1, "queues": []}
    fake.answers["GET /workers"] = page(worker)
    fake.answers["POST /workers/0193-w/drain"] = (200, worker)
    assert etl("workers").stdout.decode().splitlines()[1].split()[:7] == [
        "0193-w",
        "h",
        "7",
        "up",
        "4",
        "1",
        "all",
    ]
    assert etl("workers", "drain", "0193").returncode == 0
    assert b"No worker's id begins" in etl("workers", "drain", "x").stderr


def test_a_key_is_issued_with_its_secret_alone_on_stdout(fake: FakeServer, etl: Etl) -> None:
    fake.answers["POST /keys"] = (201, {"id": "k1", "name": "ci", "secret": "etl_s"})
    done = etl("keys", "issue", "--name", "ci", "--scope", "jobs:read", "jobs:submit", "--expires", "90d")
    assert (done.returncode, done.stdout) == (0, b"etl_s\n")
    sent = fake.requests[-1][1]
    assert (sent["name"], sent["scopes"]) == ("ci", ["jobs:read", "jobs:submit"])
    assert sent["expires_at"].endswith("+00:00")


def test_keys_are_listed_and_revoked_by_prefix(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /keys"] = page({"id": "k1", "name": "ci", "prefix": "etl_a", "scopes": ["admin"]})
    fake.answers["DELETE /keys/k1"] = (204, None)
    assert etl("keys", "ls").stdout.decode().splitlines()[1].split() == [
        "k1",
        "ci",
        "etl_a",
        "admin",
        "never",
        "never",
    ]
    assert etl("keys", "revoke", "k").returncode == 0
    assert fake.requests[-1][0] == "DELETE /keys/k1"


def test_an_empty_id_names_nothing(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /workers"] = page({"id": "w1"})
    fake.answers["GET /keys"] = page({"id": "k1"})
    for arguments in (("workers", "drain", ""), ("keys", "revoke", "")):
        done = etl(*arguments)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert {call for call, _ in fake.requests} <= {"GET /workers", "GET /keys"}

"""The main job: submit, follow, end well, end badly, be stopped; through HTTP and the command line only."""

import json
import os
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from tests.e2e.installation import Installation


def test_a_month_is_loaded_and_its_rows_are_in_the_database(shared: Installation) -> None:
    warehouse = shared.directory / "warehouse.sqlite3"
    request = {
        "script": "load_weather.py",
        "parameters": {"period": "2012-01"},
        "environment": {"WAREHOUSE": str(warehouse)},
    }
    for _ in range(2):  # twice is as once
        job = shared.ended(shared.submit(**request))
        assert (job["state"], job["reason"]["exit_code"]) == ("succeeded", 0)
        with closing(sqlite3.connect(warehouse)) as connection:
            days = connection.execute("SELECT count(*), sum(precipitation_mm) FROM weather_day").fetchone()
            months = connection.execute("SELECT * FROM weather_month").fetchall()
        assert (days[0], round(days[1], 1)) == (31, 173.3)
        assert months == [("2012-01", 31, 22, 173.3, 12.8, -3.3)]


def test_the_log_is_seen_while_the_job_runs(shared: Installation) -> None:
    gate = shared.directory / "gate"
    program = f"echo first; until [ -e {gate} ]; do sleep 0.05; done; echo second"
    job_id = shared.submit(command=["/bin/sh", "-c", program])
    with shared.http() as http, http.stream("GET", f"/jobs/{job_id}/log/stream") as answer:
        seen = []
        for row in answer.iter_lines():
            if row.startswith("data: ") and "text" in (data := json.loads(row[6:])):
                seen.append(data["text"])
                if seen == ["first"]:
                    assert shared.job(job_id)["state"] == "running"
                    gate.touch()
            if row == "event: end":
                break
    assert seen == ["first", "second"]
    assert shared.ended(job_id)["state"] == "succeeded"


def test_a_bad_period_fails_with_the_scripts_own_words(shared: Installation) -> None:
    job = shared.ended(shared.submit(script="load_weather.py", parameters={"period": "2012-13"}))
    assert (job["state"], job["outcome"]) == ("failed", "failed")
    assert job["reason"]["exit_code"] == 1
    assert "there is no month 13" in job["reason"]["last_lines"][-1]


def test_a_traceback_is_the_reason_of_a_failure(shared: Installation) -> None:
    job = shared.ended(shared.submit(script="fails_halfway.py"))
    assert job["state"] == "failed"
    assert job["reason"]["last_lines"][-1] == "ValueError: could not convert string to float: 'n/a'"


def test_a_job_past_its_timeout_is_stopped(shared: Installation) -> None:
    job_id = shared.submit(command=["/bin/sleep", "600"], timeout_seconds=0.5)
    job = shared.ended(job_id)
    assert (job["state"], job["outcome"]) == ("failed", "timed_out")
    assert [a["outcome"] for a in shared.call("GET", f"/jobs/{job_id}/attempts")["items"]] == ["timed_out"]


def test_a_running_job_is_cancelled_though_it_ignores_sigterm(shared: Installation) -> None:
    program = "trap '' TERM; echo armed; while :; do sleep 0.1; done"
    job_id = shared.submit(command=["/bin/sh", "-c", program], stop_grace_seconds=0.5)
    shared.when(job_id, "running")
    begun = time.monotonic()
    assert shared.etl("cancel", job_id).returncode == 0
    assert shared.ended(job_id)["state"] == "cancelled"
    assert time.monotonic() - begun < 30


def test_children_that_a_script_leaves_behind_are_stopped_and_counted(shared: Installation) -> None:
    job_id = shared.submit(script="forks_children.py", args=["--leave"])
    assert shared.ended(job_id)["state"] == "succeeded"
    attempt = shared.call("GET", f"/jobs/{job_id}/attempts")["items"][0]
    assert (attempt["processes_left"], attempt["left_behind"]) == (0, 4)


def test_children_that_are_to_be_kept_live_on_and_are_named(shared: Installation) -> None:
    program = "setsid sleep 1000 & echo $!"
    job_id = shared.submit(command=["/bin/sh", "-c", program], left_behind="keep")
    assert shared.ended(job_id)["left_behind"] == "keep"
    attempt = shared.call("GET", f"/jobs/{job_id}/attempts")["items"][0]
    kept = int(shared.log(job_id))
    assert (attempt["outcome"], attempt["kept"], attempt["processes_left"]) == (
        "succeeded",
        [f"{kept} sleep"],
        1,
    )
    os.kill(kept, signal.SIGKILL)


def test_a_failed_attempt_is_tried_again(shared: Installation) -> None:
    program = "echo try $ETL_ATTEMPT; [ $ETL_ATTEMPT = 2 ]"
    job_id = shared.submit(
        command=["/bin/sh", "-c", program], retry={"max_attempts": 3, "delay_seconds": 0.1}
    )
    job = shared.ended(job_id)
    assert (job["state"], job["attempt"]) == ("succeeded", 2)
    attempts = shared.call("GET", f"/jobs/{job_id}/attempts")["items"]
    assert sorted((a["number"], a["outcome"]) for a in attempts) == [(1, "failed"), (2, "succeeded")]


def test_etl_run_is_as_if_the_script_ran_here(shared: Installation) -> None:
    program = r"printf 'out\377'; printf 'err' >&2; exit 7"
    done = shared.etl("run", "--command", "--", "/bin/sh", "-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\xff", b"err")


def test_a_large_output_arrives_whole(shared: Installation) -> None:
    done = shared.etl("run", "--command", "--", "/bin/sh", "-c", "seq 1 300000; echo done >&2")
    assert done.stdout == b"".join(b"%d\n" % number for number in range(1, 300_001))
    assert done.stderr == b"done\n"


def test_the_command_line_tells_of_jobs(shared: Installation) -> None:
    job_id = (
        shared.etl("run", "--detach", "--label", "e2e=tells", "disk_report.sh", "--", "1")
        .stdout.decode()
        .strip()
    )
    shared.ended(job_id)
    listed = json.loads(shared.etl("ls", "--json", "--label", "e2e=tells").stdout)
    assert [job["id"] for job in listed] == [job_id]
    assert f"job {job_id}, attempt 1" in shared.etl("logs", job_id).stdout.decode()
    assert "Exited with status 0." in shared.etl("show", job_id).stdout.decode()
    assert shared.etl("explain", job_id).stdout.decode().startswith("Succeeded at ")
    again = shared.etl("retry", job_id).stdout.decode().strip()
    assert shared.ended(again)["retry_of"] == job_id
    assert shared.etl("queues").returncode == shared.etl("workers").returncode == 0


def test_an_issued_key_opens_what_it_was_issued_for(shared: Installation) -> None:
    secret = shared.etl("keys", "issue", "--name", "reader", "--scope", "jobs:read").stdout.decode().strip()
    with shared.http() as http:
        http.headers["Authorization"] = f"Bearer {secret}"
        assert http.get("/jobs").status_code == 200
        refused = http.post("/jobs", json={"script": "disk_report.sh"})
    assert (refused.status_code, "jobs:submit" in refused.json()["detail"]) == (403, True)


def test_a_command_is_found_by_its_name_though_the_server_has_no_environment(
    own: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATH", "HOME"):
        monkeypatch.delenv(name)  # what `Installation` passes on
    own.flags = ["--scripts.allow_commands=on"]
    own.serve()
    job = own.ended(own.submit(command=["sh", "-c", "echo found; exit 3"]))
    assert (job["reason"]["code"], job["reason"]["exit_code"]) == ("exit", 3)
    assert own.log(job["id"]) == "found\n"

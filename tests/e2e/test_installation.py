"""What holds whatever happens to the processes, and around them."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.installation import FINAL, Installation, until

NOTE = """
with open("{ledger}", "a") as ledger:
    ledger.write("{{}}\\n".format(__import__("os").environ["ETL_JOB_ID"]))
"""


def test_accepted_jobs_survive_kill_9_and_the_database_comes_back(own: Installation) -> None:
    script = own.script("hello.sh", "echo hello\n")
    first = own.serve()
    waiting = [own.submit(script=script, not_before="2099-01-01T00:00:00Z") for _ in range(20)]
    done = own.ended(own.submit(script=script))
    own.crash(first)
    own.serve()
    assert {own.job(job_id)["state"] for job_id in waiting} == {"queued"}
    assert own.job(done["id"]) == done
    assert own.log(done["id"]) == "hello\n"
    assert own.ended(own.submit(script=script))["state"] == "succeeded"


def test_a_job_that_runs_while_the_server_is_killed_still_ends_well(own: Installation) -> None:
    gate = own.directory / "gate"
    script = own.script("wait.sh", f"echo begun; until [ -e {gate} ]; do sleep 0.05; done; echo ended\n")
    first = own.serve()
    job_id = own.submit(script=script)
    until(lambda: True if "begun" in own.etl("logs", job_id).stdout.decode() else None, "the first line")
    own.crash(first)
    own.serve()
    gate.touch()
    job = own.ended(job_id)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert own.log(job_id) == "begun\nended\n"


def test_f20_a_job_sleeps_through_kill_9_of_its_worker_and_succeeds_in_its_first_attempt(
    own: Installation, database_url: str, request: pytest.FixtureRequest
) -> None:
    """F20: a new worker two seconds later; `--sleep=20` is the long sleep."""
    seconds = int(request.config.getoption("--sleep"))
    script = own.script(
        "sleep.sh", f"for i in $(seq {4 * seconds}); do echo $i; sleep 0.25; done; echo end\n"
    )
    own.flags += [f"--database.url={database_url}", f"--logs.directory={own.directory / 'logs'}"]
    own.serve("api")
    worker = own.spawn("worker")
    job_id = own.submit(script=script)
    until(lambda: True if "4" in own.log(job_id).split() else None, "the first second")
    own.crash(worker)
    time.sleep(2)
    own.spawn("worker")
    job = own.ended(job_id)
    (attempt,) = own.call("GET", f"/jobs/{job_id}/attempts")["items"]
    assert (job["state"], job["attempt"], attempt["processes_left"]) == ("succeeded", 1, 0)
    assert own.log(job_id).split() == [*map(str, range(1, 4 * seconds + 1)), "end"]


def test_several_workers_run_each_job_exactly_once(own: Installation, database_url: str) -> None:
    """As on several machines: one PostgreSQL, one API, and workers with data directories of their own."""
    ledger = own.directory / "ledger"
    script = own.script("note.py", NOTE.format(ledger=ledger))
    own.flags += [f"--database.url={database_url}", f"--logs.directory={own.directory / 'logs'}"]
    own.serve("api")
    for name in ("one", "two"):
        own.spawn("worker", "--worker.slots=4", f"--data.directory={own.directory / name}")
    assert_each_of_200_jobs_runs_exactly_once(own, script, ledger, workers=2)


def test_two_more_workers_beside_serve_share_its_data_directory(own: Installation) -> None:
    ledger = own.directory / "ledger"
    script = own.script("note.sh", f'echo "$ETL_JOB_ID" >> {ledger}\n')
    own.serve()
    for _ in range(2):
        own.spawn("worker", "--worker.slots=4")
    assert_each_of_200_jobs_runs_exactly_once(own, script, ledger, workers=3)


def assert_each_of_200_jobs_runs_exactly_once(
    own: Installation, script: str, ledger: Path, workers: int
) -> None:
    until(lambda: len(own.call("GET", "/workers")["items"]) == workers or None, f"{workers} workers")
    batch = {"jobs": [{"script": script, "queue": "many"} for _ in range(200)]}
    accepted = {job["id"] for job in own.call("POST", "/jobs/batch", batch)["jobs"]}

    def all_ended() -> bool | None:
        page = own.call("GET", "/queues")["items"]
        left = sum(q["waiting"] + q["scheduled"] + q["running"] for q in page if q["name"] == "many")
        return None if left else True

    until(all_ended, "200 jobs to end")
    jobs = {job_id: own.job(job_id) for job_id in accepted}
    assert {job["state"] for job in jobs.values()} == {"succeeded"}
    assert sorted(ledger.read_text().split()) == sorted(accepted)
    assert len({job["worker"] for job in jobs.values()}) == workers


def test_packages_of_the_same_names_do_not_break_a_start(own: Installation) -> None:
    for name in ("domain", "application", "adapters", "entrypoints"):
        (own.directory / name).mkdir()
        (own.directory / name / "__init__.py").write_text("raise SystemExit('a foreign package')\n")
    own.environ["PYTHONPATH"] = str(own.directory)
    script = own.script("hello.py", "print('hello')\n")
    own.serve()
    assert own.etl("run", script).stdout == b"hello\n"


def test_a_script_gets_the_promised_environment_and_nothing_else(own: Installation) -> None:
    own.environ |= {"LANG": "C.UTF-8", "TZ": "UTC", "ETL_WORKER__POLL": "1s", "SECRET_OF_THE_SERVER": "x"}
    script = own.script("env.py", "import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))\n")
    own.serve()
    job_id = own.submit(script=script, environment={"REGION": "eu"})
    assert own.ended(job_id)["state"] == "succeeded"
    environment, directory = json.loads(own.log(job_id))
    environment.pop("LC_CTYPE", None)  # Python sets it itself (PEP 538)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", environment.pop("TRACEPARENT"))
    assert set(environment) == {
        *("PATH", "HOME", "LANG", "TZ", "REGION", "PYTHONUNBUFFERED"),
        *("ETL_JOB_ID", "ETL_ATTEMPT", "ETL_FENCE", "ETL_QUEUE", "ETL_WORK_DIR"),
    }
    assert (environment["ETL_JOB_ID"], environment["ETL_ATTEMPT"]) == (job_id, "1")
    assert directory == str(own.scripts)


@pytest.mark.parametrize("auth", ["on", "off"])
def test_a_key_is_needed_unless_auth_is_off(own: Installation, auth: str) -> None:
    own.flags.append(f"--http.auth={auth}")
    own.serve()
    with own.http() as http:
        http.headers.pop("Authorization")
        assert http.get("/jobs").status_code == (401 if auth == "on" else 200)


def test_the_admin_key_is_nobody_elses_to_read(own: Installation) -> None:
    own.serve()
    assert (own.data / "admin.key").stat().st_mode & 0o777 == 0o600


def test_an_orderly_stop_lets_running_jobs_end_and_withdraws_the_address(own: Installation) -> None:
    gate = own.directory / "gate"
    script = own.script("wait.sh", f"until [ -e {gate} ]; do sleep 0.05; done; echo ended\n")
    process = own.serve()
    job_id = own.submit(script=script)
    own.when(job_id, "running")
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    gate.touch()
    assert process.wait(60) == 0
    assert not (own.data / "server.json").exists()
    own.processes.clear()
    own.serve()
    assert own.job(job_id)["state"] in FINAL
    assert own.job(job_id)["state"] == "succeeded"


def test_the_demo_runs_from_start_to_end(own: Installation) -> None:
    done = own.etl("demo")
    shown = done.stdout.decode()
    assert done.returncode == 0, shown + done.stderr.decode()
    assert "2012-12  31    27        174.0             13.3    -1.7" in shown
    assert "12 of 12 jobs succeeded" in shown

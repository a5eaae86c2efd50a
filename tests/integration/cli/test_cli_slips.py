"""What people mistype, and the places from which they call: each is told in a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import PROGRAM, Etl, environment
from tests.integration.cli.fake_server import JOB_ID, FakeServer, job


def page(*items: object) -> tuple[int, object]:
    return 200, {"items": list(items), "next_cursor": None}


@pytest.mark.parametrize("prefix", ["zz", "", "01*"])
def test_what_is_no_beginning_of_an_id_is_told_so_and_not_asked_for(
    fake: FakeServer, etl: Etl, prefix: str
) -> None:
    done = etl("show", prefix)
    assert (done.returncode, done.stderr) == (
        1,
        f"etl: {prefix!r} is no job id, and no beginning of one.\n".encode(),
    )
    assert fake.requests == []


def test_ids_may_be_typed_in_capitals(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /jobs"] = page(job())
    fake.answers[f"GET /jobs/{JOB_ID}"] = (200, job())
    assert etl("show", "01934B5E").returncode == 0
    assert fake.requests[0][1]["id_prefix"] == "01934b5e"


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_ls_of_no_job_at_all_is_bad_usage(etl: Etl, limit: str) -> None:
    done = etl("ls", "--limit", limit)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"write a number from 1 on" in done.stderr


def test_ls_asks_for_two_labels_of_one_name_too(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /jobs"] = page()
    etl("ls", "--label", "team=fin", "--label", "team=hr")
    assert fake.requests[-1][1]["label"] == "team:fin,team:hr"


def test_an_address_without_a_scheme_is_told_how_to_begin(etl: Etl) -> None:
    done = etl("ls", ETL_URL="127.0.0.1:8000")
    assert (done.returncode, done.stderr) == (
        1,
        b"etl: ETL_URL: 127.0.0.1:8000 is no address: begin it with http:// or https://.\n",
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_trouble(fake: FakeServer, tmp_path: Path, closed: str) -> None:
    """As cron jobs and daemons' parents leave them: Python has no sys.stdout then."""
    fake.answers["GET /jobs"] = page(job())
    line = f'exec "$0" -I "$1" ls {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", line, sys.executable, PROGRAM],
        cwd=tmp_path,
        env=environment(fake),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert fake.requests[-1][0] == "GET /jobs"


@pytest.mark.parametrize("command", [["ls"], ["config", "show"], ["openapi"]])
def test_an_answer_that_finds_no_room_is_a_sentence(
    fake: FakeServer, tmp_path: Path, command: list[str]
) -> None:
    fake.answers["GET /jobs"] = page(job())
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-I", PROGRAM, *command],
            cwd=tmp_path,
            env=environment(fake),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        b"etl: The output cannot be written: No space left on device.\n",
    )


def test_arguments_without_a_flag_are_named_without_one(etl: Etl) -> None:
    done = etl("show")
    assert done.returncode == 2
    assert b"ID" in done.stderr
    assert b"--ID" not in done.stderr


def test_a_flag_for_the_script_is_told_its_place(etl: Etl) -> None:
    done = etl("run", "load.py", "--period", "2026-01")
    assert done.returncode == 2
    assert b"etl: What is meant for the script comes after `--`" in done.stderr
    assert b"comes after" not in etl("run", "load.py", "--priority", "high").stderr
    assert b"comes after" not in etl("ls", "--full").stderr


@pytest.mark.parametrize("listed", ["queues", "workers"])
def test_ls_below_a_list_is_the_list_as_with_keys(fake: FakeServer, etl: Etl, listed: str) -> None:
    fake.answers[f"GET /{listed}"] = page()
    assert etl(listed, "ls", "--json").stdout == etl(listed, "--json").stdout == b"[]\n"

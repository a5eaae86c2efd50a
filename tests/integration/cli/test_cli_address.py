"""How a command finds its server and its key, and what it says where it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Etl
from tests.integration.cli.fake_server import FakeServer, page


def test_a_key_that_is_not_accepted_names_the_cure(fake: FakeServer, etl: Etl) -> None:
    fake.answers["GET /jobs"] = (401, {"detail": "This API key is not valid."})
    done = etl("ls")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"etl: This API key is not valid. Set ETL_API_KEY")


def test_a_server_that_is_away_is_one_line(etl: Etl) -> None:
    done = etl("ls", ETL_URL="http://127.0.0.1:9")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert b"No answer from http://127.0.0.1:9" in done.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ETL_URL": "http://[::1"}, "http://[::1 is no address"),
        ({"ETL_API_KEY": "“etl_secret”"}, "ETL_API_KEY is no key"),
        ({"ETL_API_KEY_FILE": sys.executable}, "ETL_API_KEY_FILE is no key"),
    ],
)
def test_what_cannot_be_an_address_or_a_key_is_one_line(
    etl: Etl, variables: dict[str, str], said: str
) -> None:
    done = etl("ls", **variables)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert said in done.stderr.decode()


@pytest.mark.parametrize("status", [200, 301])
def test_a_server_of_something_else_is_one_line(fake: FakeServer, etl: Etl, status: int) -> None:
    fake.answers["GET /jobs"] = (status, b"<html>Welcome</html>")
    done = etl("ls")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert fake.url.encode() in done.stderr


def test_without_a_server_the_way_to_one_is_told(etl: Etl) -> None:
    done = etl("ls", ETL_URL="", ETL_API_KEY="")
    assert done.returncode == 1
    assert b"Start one with `etl serve`, or set ETL_URL." in done.stderr


def test_the_server_of_this_machine_is_found_with_its_key(fake: FakeServer, etl: Etl, tmp_path: Path) -> None:
    (tmp_path / ".etl").mkdir()
    (tmp_path / ".etl" / "server.json").write_text(json.dumps({"url": fake.url, "pid": os.getpid()}))
    (tmp_path / ".etl" / "admin.key").write_text("etl_admin\n")
    fake.answers["GET /jobs"] = page()
    assert etl("ls", ETL_URL="", ETL_API_KEY="").returncode == 0
    assert fake.headers[-1]["Authorization"] == "Bearer etl_admin"


def test_the_admin_key_is_not_sent_to_another_address(fake: FakeServer, etl: Etl, tmp_path: Path) -> None:
    (tmp_path / ".etl").mkdir()
    (tmp_path / ".etl" / "server.json").write_text(json.dumps({"url": "http://other", "pid": os.getpid()}))
    (tmp_path / ".etl" / "admin.key").write_text("etl_admin\n")
    fake.answers["GET /jobs"] = page()
    etl("ls", ETL_API_KEY="")
    assert "Authorization" not in fake.headers[-1]


def test_a_server_that_died_is_not_asked(fake: FakeServer, etl: Etl, tmp_path: Path) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    (tmp_path / ".etl").mkdir()
    (tmp_path / ".etl" / "server.json").write_text(json.dumps({"url": fake.url, "pid": int(gone.stdout)}))
    assert etl("ls", ETL_URL="", ETL_API_KEY="").returncode == 1
    assert fake.requests == []

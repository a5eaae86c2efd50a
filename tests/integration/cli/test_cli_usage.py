"""What every command does with its arguments and settings, before it does anything else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import PROGRAM, Etl, environment
from tests.integration.cli.fake_server import FakeServer, page


def test_config_show_names_value_and_place_and_hides_secrets(etl: Etl) -> None:
    done = etl("config", "show", "--http-port=9", "--json", ETL_DATABASE__URL="postgresql://u:hunter2@h/d")
    found = {row["setting"]: row for row in json.loads(done.stdout)}
    assert (found["http.port"]["value"], found["http.port"]["from"]) == ("9", "--http.port")
    assert (found["database.url"]["value"], found["database.url"]["from"]) == ("***", "ETL_DATABASE__URL")
    assert b"hunter2" not in done.stdout


@pytest.mark.parametrize(
    "arguments", ["serve --http.prot 1", "serve --worker.poll 5", "config show --http.port"]
)
def test_a_wrong_setting_stops_the_start_with_one_line(etl: Etl, arguments: str) -> None:
    done = etl(*arguments.split())
    assert (done.returncode, done.stdout) == (2, b"")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(b"etl: --")


@pytest.mark.parametrize("arguments", ["doctor", "migrate", "db dump file", "config show", "openapi"])
def test_whoever_reads_the_settings_takes_them_as_flags(etl: Etl, arguments: str) -> None:
    done = etl(*arguments.split(), "--http.port=many")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"etl: --http.port: 'many' is wrong")


@pytest.mark.parametrize(
    "arguments", [b"ls --script caf\xe9.py", b"queues pause caf\xe9", b"run a.sh caf\xe9"]
)
def test_what_is_not_utf_8_is_refused_before_anything_is_sent(
    fake: FakeServer, etl: Etl, arguments: bytes
) -> None:
    done = etl(*arguments.split())
    assert (done.returncode, fake.requests) == (2, [])
    assert done.stderr.startswith(b"etl: 'caf\\udce9")


@pytest.mark.parametrize("arguments", ["serve", "db restore file"])
def test_a_directory_that_cannot_be_made_is_one_line(etl: Etl, tmp_path: Path, arguments: str) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    done = etl(*arguments.split(), "--data.directory=link")
    assert (done.returncode, done.stdout) == (2, b"")
    said = f"etl: data.directory: {tmp_path}/link cannot be made: File exists.\n"
    assert done.stderr.decode() == said


@pytest.mark.parametrize("arguments", ["nope", "ls --nope", "show", "logs", "cancel", "ls --limit x"])
def test_bad_usage_ends_with_2(etl: Etl, arguments: str) -> None:
    done = etl(*arguments.split())
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr


@pytest.mark.parametrize("arguments", ["--help", "run --help", "queues --help", "--version"])
def test_help_is_on_stdout(etl: Etl, arguments: str) -> None:
    done = etl(*arguments.split())
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


@pytest.mark.parametrize("arguments", ["ls", "config show", "--help"])
def test_a_client_does_not_import_the_server(fake: FakeServer, tmp_path: Path, arguments: str) -> None:
    fake.answers["GET /jobs"] = page()
    program = [sys.executable, "-I", "-X", "importtime", str(PROGRAM), *arguments.split()]
    done = subprocess.run(program, cwd=tmp_path, env=environment(fake), capture_output=True, check=True)
    imported = {row.rsplit(b"|", 1)[-1].strip().decode() for row in done.stderr.splitlines()}
    assert "entrypoints.cli.main" in imported
    assert not imported & {"litestar", "sqlalchemy", "psycopg", "dependency_injector", "uvicorn"}


def test_packages_of_the_same_names_elsewhere_do_not_break_a_start(etl: Etl, tmp_path: Path) -> None:
    for name in ("domain", "application", "adapters", "entrypoints", "httpx"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('hostile')\n")
    assert etl("config", "show", PYTHONPATH=str(tmp_path)).returncode == 0

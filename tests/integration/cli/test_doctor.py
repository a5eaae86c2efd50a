"""What the doctor sees, by making it so."""

import os
import time
from functools import partial
from pathlib import Path

import psycopg
import pytest

from adapters.postgres.migrate import migrate
from adapters.process.means import means_of
from adapters.process.supervisor.group import V1, V2
from entrypoints import doctor
from entrypoints.container import machine
from entrypoints.doctor import examine
from entrypoints.finding import Finding
from entrypoints.settings import Settings, load


def settings(directory: Path, **flags: str) -> Settings:
    for name in ("data", "logs", "scripts"):
        (directory / name).mkdir(exist_ok=True)
    given = {"data.directory": "data", "logs.directory": "logs", "retention.disk_floor": "1B", **flags}
    return load(given, {}, directory).settings


async def seen(settings: Settings) -> dict[str, Finding]:
    return {finding.check: finding for finding in await examine(settings)}


async def test_a_sound_installation_has_no_complaint(tmp_path: Path, database_url: str) -> None:
    found = await seen(settings(tmp_path, **{"database.url": database_url}))
    assert [finding for finding in found.values() if finding.cure is not None] == []
    assert {"packages", "disk", "kill mechanism", "durability", "schema", "clock", "open transactions"} < set(
        found
    )


async def test_directories_that_are_missing_or_open_to_all_are_named_with_the_cure(tmp_path: Path) -> None:
    given = settings(tmp_path)
    (tmp_path / "logs").rmdir()
    (tmp_path / "scripts").chmod(0o777)
    found = await seen(given)
    assert found["logs.directory"].cure == f"mkdir -p {tmp_path / 'logs'}, or set logs.directory."
    assert found["scripts.directory"].cure == f"chmod o-w {tmp_path / 'scripts'}"
    assert found["database"].cure == "Start `etl serve`, or set database.url."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
async def test_directories_of_another_user_are_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    found = await seen(load({"data.directory": str(closed / "etl")}, {}, tmp_path).settings)
    assert found["data.directory"].seen == f"{closed}/etl cannot be reached by this user"
    assert found["data.directory"].cure == "Give it to this user, or set data.directory."
    assert "Permission denied" in found["database"].seen


@pytest.mark.parametrize("kinds", [(), (V2,), (V1,)], ids=["none", V2, V1])
async def test_the_kill_mechanism_is_tried_and_its_gap_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...]
) -> None:
    """As where no control group may be made, as a plain user or in a container, and as where one may."""
    monkeypatch.setattr(machine, "means_of", partial(means_of, kinds=kinds))
    found = (await seen(settings(tmp_path)))["kill mechanism"]
    how = found.seen.partition(":")[0]
    assert found.cure is None
    assert how in {"subreaper", *kinds}
    assert ("killed in the same instant" in found.seen) == (how == "subreaper")
    assert ("memory is polled" in found.seen) or how != "subreaper"


async def test_too_little_disk_is_named(tmp_path: Path) -> None:
    found = await seen(settings(tmp_path, **{"retention.disk_floor": "1000TiB"}))
    assert found["disk"].cure is not None


async def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    found = await seen(settings(tmp_path, **{"database.url": f"postgresql:///etl?host={tmp_path}"}))
    assert found["database"].cure == "Look at the server, and at database.url."


async def test_a_schema_that_is_behind_is_named(tmp_path: Path, empty_database_url: str) -> None:
    given = settings(tmp_path, **{"database.url": empty_database_url})
    assert (await seen(given))["schema"].cure == "etl migrate"
    await migrate(empty_database_url)
    assert (await seen(given))["schema"].cure is None


async def test_the_client_that_holds_a_transaction_open_is_named(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LONG_SECONDS", 0.5)
    given = settings(tmp_path, **{"database.url": database_url})
    with psycopg.connect(database_url, application_name="a long report") as client:
        client.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        client.execute("SELECT 1")
        time.sleep(0.6)  # noqa: ASYNC251 - the age is what is measured
        found = (await seen(given))["open transactions"]
        assert found.cure == f"End it: SELECT pg_terminate_backend({client.info.backend_pid})"
        assert "a long report" in found.seen
    assert (await seen(given))["open transactions"].cure is None


async def test_a_foreign_owner_of_one_of_our_names_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "packages_distributions", lambda: {"domain": ["somebody-elses"]})
    assert "somebody-elses" in (await seen(settings(tmp_path)))["packages"].seen

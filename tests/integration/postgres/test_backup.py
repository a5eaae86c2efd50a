"""A backup holds every row at one moment, and what is restored from it owes nothing to workers of before."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.backup import dump, restore
from adapters.postgres.migrate import migrate, pending
from adapters.system.clock import SystemChance
from domain.attempt import Outcome
from domain.backup_errors import BackupUnusable, DatabaseNotEmpty, NothingToDump
from domain.event import EventKind
from domain.job import JobState
from tests.builders import NOON, TERMS, a_job, a_key, a_request, claim_of, keyed, repeatable, report_of
from tests.contract.kernels import claim_one, join, start_one, submit
from tests.contract.postgres_kernel import postgres_kernel
from tests.embedded_server import Server, other_versions

LIVE = {"job_queue", "worker_session"}
COUNTS = {"rate_limit"}
"""Not kept: a crash forgets it too."""
USED = {"api_key", "attempt", "event", "idempotency", "job", "job_end", "queue"}
KEPT = """
SELECT relname FROM pg_class
WHERE relnamespace = to_regnamespace('etl') AND relkind = 'r' AND relpersistence = 'p'
"""
AWKWARD = 'tab\there, a \\N, a line\nbreak, "quotes", é and \U0001f680'


async def used(url: str) -> None:
    """Something in every table of ours that is kept; nothing that runs."""
    async with postgres_kernel(url) as kernel:
        await kernel.access.add(a_key())
        await kernel.queue.set_slots("nightly", 3)
        await kernel.queue.pause("nightly", AWKWARD)
        worker = await join(kernel)
        done = a_job(labels={"awkward": AWKWARD})
        await kernel.queue.submit([done], a_request())
        await kernel.queue.report([report_of(await start_one(kernel, worker))])
        (dropped,) = await submit(kernel, a_job())
        await kernel.queue.change(dropped.id, lambda job: job.cancel(NOON), AWKWARD)
        await submit(kernel, *(a_job(concurrency=keyed("target"), retry=repeatable()) for _ in range(5)))


def tables(url: str) -> dict[str, list[Any]]:
    """All rows of all tables that a crash of the server would keep, as JSON."""
    found = {}
    with psycopg.connect(url) as connection:
        for (name,) in connection.execute(KEPT).fetchall():
            query = sql.SQL("SELECT to_jsonb(t) FROM {} t ORDER BY to_jsonb(t)::text")
            rows = connection.execute(query.format(sql.Identifier("etl", name))).fetchall()
            found[name] = [row for (row,) in rows]
    return found


def still(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: found for name, found in rows.items() if name not in LIVE | COUNTS}


async def restored(url: str, path: Path) -> None:
    await restore(url, path, SystemChance())


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup.zip"


async def test_every_row_of_every_table_comes_back(
    database_url: str, empty_database_url: str, backup: Path
) -> None:
    await used(database_url)
    done = await dump(database_url, backup, "1.2.3")
    await restored(empty_database_url, backup)
    before, after = tables(database_url), tables(empty_database_url)
    assert still(after) == still(before)
    assert {name for name, rows in still(after).items() if rows} >= USED
    assert [row["job_id"] for row in after["job_queue"]] == [row["job_id"] for row in before["job_queue"]]
    assert {row["state"] for row in after["worker_session"]} == {"dead"}
    assert (done.release, done.rows_of("job")) == ("1.2.3", 7)
    assert mode_of(backup) == 0o600


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_what_is_restored_goes_on_by_itself(
    database_url: str, empty_database_url: str, backup: Path
) -> None:
    """Numbers that the database gives out go on behind those that it gave."""
    await used(database_url)
    await dump(database_url, backup, "1")
    await restored(empty_database_url, backup)
    async with postgres_kernel(empty_database_url) as kernel:
        worker = await join(kernel)
        job = await start_one(kernel, worker)
        (after,) = await kernel.queue.report([report_of(job)])
        assert after.state is JobState.SUCCEEDED
        kinds = [event.kind for event in await kernel.history.events(job.id)]
        assert kinds == [EventKind.SUBMITTED, EventKind.CLAIMED, EventKind.STARTED, EventKind.SUCCEEDED]


async def test_what_ran_is_rescued_and_a_worker_of_before_can_do_nothing(
    database_url: str, empty_database_url: str, backup: Path
) -> None:
    """Neither one whose claim is in the backup, nor one that claimed the job again after it was made."""
    async with postgres_kernel(database_url) as kernel:
        worker = await join(kernel)
        again, last, unstarted = a_job(retry=repeatable()), a_job(), a_job()
        for job in (again, last):
            await submit(kernel, job)
            await start_one(kernel, worker)
        await submit(kernel, unstarted)
        await claim_one(kernel, worker)
        await dump(database_url, backup, "1")
        old = [await kernel.history.get(job.id) for job in (again, last, unstarted)]
    await restored(empty_database_url, backup)
    async with postgres_kernel(empty_database_url) as kernel:
        states = [await kernel.history.get(job.id) for job in old]
        assert [job.state for job in states] == [JobState.QUEUED, JobState.FAILED, JobState.QUEUED]
        assert [job.attempt for job in states] == [1, 1, 0]
        (attempt,) = await kernel.history.attempts(last.id)
        assert attempt.ending is not None
        assert attempt.ending.outcome is Outcome.LOST
        assert await kernel.registry.renew(worker.id, TERMS) is None
        assert await kernel.queue.adopt(worker.id, [claim_of(job) for job in old]) == []
        assert await kernel.queue.report([report_of(job) for job in old]) == []
        fresh = await join(kernel)
        claimed = await kernel.queue.claim(fresh.id, 10)
        assert {job.id for job in claimed} == {again.id, unstarted.id}
        assert all(job.fence > 1000 for job in claimed)
        assert all(job.is_put_back_if_lost for job in claimed)  # it has not been put back that often


@pytest.mark.parametrize("way", ["there", "back"])
async def test_a_backup_goes_between_versions_of_postgresql(
    database_url: str, empty_database_url: str, backup: Path, older: Server, way: str
) -> None:
    source, target = (database_url, older.url) if way == "there" else (older.url, empty_database_url)
    if way == "back":
        await migrate(source)
    await used(source)
    await dump(source, backup, "1")
    await restored(target, backup)
    assert still(tables(target)) == still(tables(source))
    assert await pending(target) == []


@pytest.fixture
def older() -> Iterator[Server]:
    found = other_versions()
    if not found:
        pytest.skip("no second version of PostgreSQL is installed under /usr/lib/postgresql")
    server = Server(programs=found[0])
    server.start()
    yield server
    server.stop()


# -- refusals ------------------------------------------------------------------------------------------


async def test_a_database_in_use_is_left_as_it_is(database_url: str, backup: Path) -> None:
    await used(database_url)
    await dump(database_url, backup, "1")
    before = tables(database_url)
    with pytest.raises(DatabaseNotEmpty, match="Nothing was changed"):
        await restored(database_url, backup)
    assert tables(database_url) == before


async def test_a_schema_that_was_never_used_is_no_hindrance(
    database_url: str, empty_database_url: str, backup: Path
) -> None:
    await used(database_url)
    await dump(database_url, backup, "1")
    await migrate(empty_database_url)
    await restored(empty_database_url, backup)
    assert len(tables(empty_database_url)["job"]) == 7


async def test_a_database_without_anything_of_ours_is_not_dumped(
    empty_database_url: str, backup: Path
) -> None:
    with pytest.raises(NothingToDump):
        await dump(empty_database_url, backup, "1")
    assert list(backup.parent.iterdir()) == []


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def no_archive(path: Path) -> None:
    path.write_text("-- PostgreSQL database dump\n")


def absent(path: Path) -> None:
    path.unlink()


def without_a_row(path: Path) -> None:
    """As if it had been edited: every checksum is right."""
    rewritten(path, "job", lambda text: text.partition(b"\n")[2])


def with_a_foreign_row(path: Path) -> None:
    rewritten(path, "queue", lambda text: text + b"too\tfew\n")


def of_a_later_schema(path: Path) -> None:
    rewritten(
        path, "manifest.json", lambda text: json.dumps(json.loads(text) | {"revision": "9999"}).encode()
    )


def of_a_later_format(path: Path) -> None:
    rewritten(path, "manifest.json", lambda text: json.dumps(json.loads(text) | {"format": 2}).encode())


def rewritten(path: Path, member: str, change: Any) -> None:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, change(content) if name == member else content)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut_short, "no whole backup"),
        (no_archive, "no whole backup"),
        (absent, "No such file"),
        (without_a_row, "job lacks rows"),
        (with_a_foreign_row, "damaged"),
        (of_a_later_schema, "newer release"),
        (of_a_later_format, "format 2"),
    ],
)
async def test_a_file_that_is_no_whole_backup_leaves_an_empty_database_empty(
    database_url: str, empty_database_url: str, backup: Path, damage: Any, sentence: str
) -> None:
    await used(database_url)
    await dump(database_url, backup, "1")
    damage(backup)
    with pytest.raises(BackupUnusable, match=sentence):
        await restored(empty_database_url, backup)
    assert tables(empty_database_url) == {}


class NoChance(SystemChance):
    def fraction(self) -> float:
        raise RuntimeError("no chance")


async def test_a_restore_that_fails_at_its_last_step_leaves_nothing(
    database_url: str, empty_database_url: str, backup: Path
) -> None:
    async with postgres_kernel(database_url) as kernel:
        worker = await join(kernel)
        await submit(kernel, a_job(retry=repeatable()))
        await start_one(kernel, worker)
    await dump(database_url, backup, "1")
    with pytest.raises(RuntimeError, match="no chance"):
        await restore(empty_database_url, backup, NoChance())
    assert tables(empty_database_url) == {}

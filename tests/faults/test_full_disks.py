"""A disk that becomes full under a whole `etl serve`, and heals by itself (F18, F45)."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import OperationalError
from psycopg.conninfo import make_conninfo

from tests.e2e.installation import Installation, until
from tests.small_disk import filled, give_room, small_disk

FLOOR = "8MiB"
FLOOD = """
import os, sys, time
while not os.path.exists(sys.argv[1]):
    os.write(1, (b"x" * 1023 + b"\\n") * int(sys.argv[2]))
    time.sleep(0.005)
"""
MARK = 'echo "$ETL_JOB_ID" >>"$1"\n'
HUNG_SECONDS = 20.0
MEGABYTES = {".": 150, "logs": 40, "postgres": 90}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Installation]:
    flags = [f"--retention.disk_floor={FLOOR}", "--telemetry.log_format=json", "--worker.slots=4"]
    installation = Installation(tmp_path, flags)
    yield installation
    installation.stop()


@pytest.mark.parametrize("place", [".", "logs", "postgres"], ids=["of everything", "of logs", "of postgres"])
def test_f18_f45_a_full_disk_loses_no_job_runs_none_twice_and_heals_by_itself(
    own: Installation, place: str
) -> None:
    """F18, F45: what runs goes on, nothing new starts, and health says why."""
    disk, ran = own.data / place, own.directory / "ran"
    kibibytes = 4 if place == "postgres" else 256
    with small_disk(disk, MEGABYTES[place]):
        own.serve()
        own.script("flood.py", FLOOD)
        own.script("mark.sh", MARK)
        gates = [own.directory / "first", own.directory / "second"]
        floods = [own.submit(script="flood.py", args=[str(gate), str(kibibytes)]) for gate in gates]
        for flood in floods:
            own.when(flood, "running")
        with filled(disk):
            until(lambda: "disk_floor" in not_ready(own).get("disk", "") or None, "health to say so")
            accepted = [job for _ in range(30) if (job := submitted(own, ran)) is not None]
            gates[0].touch()
            if place != "logs":
                go_down(own)
                assert submitted(own, ran) is None
                assert "database" in not_ready(own)
            assert not ran.exists()
        gates[1].touch()
        give_room(disk, "size=400m")
        until(lambda: not not_ready(own) or None, "the service to be ready again")
        accepted += [own.submit(script="mark.sh", args=[str(ran)])]
        for job in (*floods, *accepted):
            assert own.ended(job)["state"] == "succeeded"
        assert sorted(ran.read_text().split()) == sorted(accepted)
        for job in floods:
            (attempt,) = own.call("GET", f"/jobs/{job}/attempts")["items"]
            assert bool(attempt["log_lost_bytes"]) == (place != "postgres")
        own.stop()
    assert_told_briefly(own)


def test_f45_a_disk_on_which_no_more_files_can_be_made_starts_nothing_and_fails_nothing(
    own: Installation,
) -> None:
    """F45: there are bytes enough, but no inode for a log."""
    disk, ran = own.data / "logs", own.directory / "ran"
    with small_disk(disk, 100, "nr_inodes=200"):
        own.serve()
        own.script("mark.sh", MARK)
        made = taken(disk)
        until(lambda: "inodes" in not_ready(own).get("disk", "") or None, "health to say so")
        accepted = [own.submit(script="mark.sh", args=[str(ran)]) for _ in range(5)]
        assert {own.job(job)["state"] for job in accepted} == {"queued"}
        for file in made:
            file.unlink()
        for job in accepted:
            assert own.ended(job)["state"] == "succeeded"
        own.stop()
    assert_told_briefly(own)


def taken(disk: Path) -> list[Path]:
    """All inodes."""
    made: list[Path] = []
    with suppress(OSError):
        while True:
            (file := disk / f"ballast-{len(made)}").touch()
            made.append(file)
    assert os.statvfs(disk).f_favail == 0
    return made


def not_ready(own: Installation) -> dict[str, str]:
    ready = httpx.get(f"{own.server['url']}/health/ready", timeout=30, trust_env=False)
    wrong = {name: said for name, said in ready.json()["checks"].items() if said != "ok"}
    assert ready.status_code == (503 if wrong else 200)
    return wrong


def submitted(own: Installation, ran: Path) -> str | None:
    """Large, so that the database needs room for it; None where it is refused for now."""
    environment = {f"FILL_{number}": str(number) * 4000 for number in range(6)}
    request = {"script": "mark.sh", "args": [str(ran)], "environment": environment}
    with own.http() as http:
        answer = http.post("/jobs", json=request)
    if answer.status_code == 503:
        assert answer.headers["Retry-After"]
        return None
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def go_down(own: Installation) -> None:
    """Of some forty crashes on a full disk PostgreSQL 18 did not end in one: its postmaster kept a
    checkpointer and a background writer, started no recovery, and refused all connections. Then it is
    killed here, as an administrator would have to.
    """
    try:
        until(lambda: panicked(own) or None, "PostgreSQL to refuse to start again", HUNG_SECONDS)
    except AssertionError:
        os.kill(int((own.data / "postgres/cluster/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        until(lambda: panicked(own) or None, "PostgreSQL to refuse to start again")


def panicked(own: Installation) -> bool:
    """Whether PostgreSQL is down for want of room. Brought about by what comes within five minutes by itself:
    a checkpoint that cannot be written. A crash may free the few pages that its recovery takes: then again.
    """
    place = own.data / "postgres"
    password = (place / "postgres.password").read_text().strip()
    url = make_conninfo((place / "url").read_text(), user="postgres", password=password)
    with suppress(OperationalError), closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("CHECKPOINT")
    return any("is full" in line.get("reason", "") for line in told(own) if line["event"] == "postgres_died")


def told(own: Installation) -> list[dict[str, Any]]:
    lines = (own.directory / "serve.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def assert_told_briefly(own: Installation) -> None:
    assert "Traceback" not in (own.directory / "serve.log").read_text()
    warned = Counter(
        (line["event"], line.get("duty")) for line in told(own) if line["level"] not in ("info", "debug")
    )
    assert warned.keys() & {("disk_unavailable", "claim")}
    assert max(warned.values()) <= 10, warned

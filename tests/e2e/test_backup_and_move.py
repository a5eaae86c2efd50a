"""The embedded database moves to a PostgreSQL of one's own, by the commands of docs/backup-and-move.md."""

from pathlib import Path

from tests.e2e.installation import Installation, until

WAIT = 'echo "begun $ETL_FENCE"; until [ -e {gate} ]; do sleep 0.05; done; echo ended\n'
AGAIN = {"max_attempts": 3, "delay_seconds": 0, "on": ["lost"]}


def begun(own: Installation, job_id: str) -> None:
    until(lambda: True if "begun" in own.log(job_id) else None, "the first line")


def test_from_the_embedded_database_to_another_server(own: Installation, empty_database_url: str) -> None:
    """While jobs run, by a server that is then killed: what ran is rescued by what moved, and ends truly."""
    gate, backup = own.directory / "gate", own.directory / "backup.zip"
    hello = own.script("hello.sh", "echo hello\n")
    wait = own.script("wait.sh", WAIT.format(gate=gate))
    server = own.serve()
    done = own.ended(own.submit(script=hello))
    later = own.submit(script=hello, not_before="2099-01-01T00:00:00Z")
    once, again = own.submit(script=wait), own.submit(script=wait, retry=AGAIN)
    for job_id in (once, again):
        begun(own, job_id)
    assert own.etl("db", "dump", str(backup)).returncode == 0
    lost = own.submit(script=hello)
    own.crash(server)

    own.environ["ETL_DATABASE__URL"] = empty_database_url
    assert_moved(own, backup)
    own.serve()
    assert own.job(done["id"]) == done
    assert own.log(done["id"]) == "hello\n"
    assert own.job(later)["state"] == "queued"
    assert lost not in {job["id"] for job in own.call("GET", "/jobs")["items"]}
    failed = own.ended(once)
    assert (failed["state"], failed["outcome"]) == ("failed", "lost")
    until(lambda: own.job(again)["attempt"] == 2 or None, "the second attempt")
    gate.touch()
    ended = own.ended(again)
    assert (ended["state"], ended["attempt"]) == ("succeeded", 2)
    first, second = (int(text.split()[1]) for text in logs(own, again))
    assert second > first + 1


def logs(own: Installation, job_id: str) -> list[str]:
    with own.http() as http:
        return [http.get(f"/jobs/{job_id}/log", params={"attempt": n}).text for n in (1, 2)]


def assert_moved(own: Installation, backup: Path) -> None:
    moved = own.etl("db", "restore", str(backup))
    assert (moved.returncode, b"4 jobs are back" in moved.stderr) == (0, True), moved.stderr
    again = own.etl("db", "restore", str(backup))
    assert (again.returncode, b"Nothing was changed" in again.stderr) == (1, True), again.stderr


def test_a_new_embedded_database_is_made_from_a_backup_of_another(own: Installation) -> None:
    """As on a new machine: no server runs, before and after. The key of the old installation opens it."""
    backup = own.directory / "backup.zip"
    hello = own.script("hello.sh", "echo hello\n")
    assert own.etl("db", "dump", str(backup)).returncode == 1
    own.serve()
    done = own.ended(own.submit(script=hello))
    key = own.data / "admin.key"
    own.stop()
    assert own.etl("db", "dump", str(backup)).returncode == 0
    secret, kept = key.read_text(), own.data.rename(own.directory / "before")
    assert own.etl("db", "restore", str(backup)).returncode == 0
    (kept / "logs").rename(own.data / "logs")
    key.write_text(secret)
    own.serve()
    assert key.read_text() == secret
    assert own.job(done["id"]) == done
    assert own.log(done["id"]) == "hello\n"

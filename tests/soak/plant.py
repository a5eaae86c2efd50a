"""One PostgreSQL, one API and two workers, as processes that are restarted under load."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from tests.chaos.conftest import postmaster_of
from tests.e2e.installation import Installation, until

WORKERS: Final = ("one", "two")
SLOTS: Final = 32
BATCH: Final = 100
_SCRIPT: Final = """
echo "$ETL_JOB_ID $ETL_ATTEMPT" >> {ledger}
for line in 1 2 3 4 5 6 7 8 9 10; do echo "line $line of $ETL_JOB_ID"; done
[ "$1" = again ] && [ "$ETL_ATTEMPT" = 1 ] && exit 3
exit 0
"""


@dataclass
class Plant:
    """`database` is the directory in which PostgreSQL is kept."""

    own: Installation
    url: str
    database: Path
    processes: dict[str, Any] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.script = self.own.script("work.sh", _SCRIPT.format(ledger=self.ledger))
        self.own.flags += [f"--database.url={self.url}", f"--logs.directory={self.logs}"]

    @property
    def ledger(self) -> Path:
        return self.own.directory / "ledger"

    @property
    def logs(self) -> Path:
        return self.own.directory / "logs"

    def start(self) -> None:
        self.processes["api"] = self.own.serve("api")
        for name in WORKERS:
            self.start_worker(name)

    def start_worker(self, name: str, *flags: str) -> None:
        data = self.own.directory / name
        self.processes[name] = self.own.spawn(
            "worker", f"--worker.slots={SLOTS}", f"--data.directory={data}", *flags
        )

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.terminate()
        assert process.wait(60) == 0
        self.own.processes.remove(process)

    # -- what happens to it ---------------------------------------------------------------------------

    def restart_api(self) -> None:
        self.stop("api")
        self.processes["api"] = self.own.serve("api")

    def restart_worker(self, name: str) -> None:
        self.stop(name)
        self.start_worker(name)

    def restart_database(self) -> None:
        """As an operator does: whoever keeps it starts it again."""
        old = postmaster_of(self.database)
        os.kill(old, signal.SIGINT)
        until(lambda: self._new_postmaster(old), "PostgreSQL to be back")

    def _new_postmaster(self, old: int) -> bool | None:
        try:
            self.ask("SELECT 1")
            return True if postmaster_of(self.database) != old else None
        except (psycopg.OperationalError, FileNotFoundError, IndexError):
            return None

    # -- its work -------------------------------------------------------------------------------------

    def submit(self) -> int:
        """A batch, sent until it was answered: with a key, again does no harm."""
        numbers = [next(self.numbers) for _ in range(BATCH)]
        body = {"jobs": [self._request(number) for number in numbers]}
        key = {"Idempotency-Key": f"batch-{numbers[0]}"}

        def sent() -> bool | None:
            try:
                with self.own.http() as http:
                    answer = http.post("/jobs/batch", json=body, headers=key)
            except (httpx.TransportError, FileNotFoundError):
                return None
            assert answer.status_code in (201, 503), answer.text
            return True if answer.status_code == 201 else None

        until(sent, "a batch to be accepted")
        return BATCH

    def _request(self, number: int) -> dict[str, Any]:
        """Every tenth shares a key, every twentieth fails at first; the others have one attempt."""
        request: dict[str, Any] = {"script": self.script}
        if number % 10 == 0:
            request["concurrency"] = {"key": f"customer {number % 7}", "limit": 8}
        if number % 20 == 0:
            request["args"] = ["again"]
            request["retry"] = {"max_attempts": 2, "delay_seconds": 0.1, "on": ["failed"]}
        return request

    def ask(self, statement: str) -> Any:
        """One value from the database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
            return row[0] if row else None

    def final(self) -> int:
        try:
            return int(self.ask("SELECT count(*) FROM etl.job_end"))
        except psycopg.OperationalError:
            return 0

    # -- what it takes --------------------------------------------------------------------------------

    def memory(self) -> dict[tuple[str, int], int]:
        """Bytes of its own of each process, by part and pid."""
        parts = {name: process.pid for name, process in self.processes.items()}
        parts["database"] = postmaster_of(self.database)
        below = _children()
        return {(name, pid): _anonymous(pid) for name, root in parts.items() for pid in _tree(root, below)}

    def settled_memory(self) -> dict[tuple[str, int], int]:
        """When nothing runs, and no attempt's supervisor is left."""
        until(lambda: True if self.idle() else None, "the attempts to end")
        time.sleep(2)  # what was freed is given back by and by; a bound on a measurement, not a signal
        return self.memory()

    def idle(self) -> bool:
        return not self.ask("SELECT count(*) FROM etl.job_queue")


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, parent = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found.setdefault(parent, []).append(pid)
    return found


def _tree(pid: int, below: dict[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in below.get(pid, []):
        yield from _tree(child, below)


def _anonymous(pid: int) -> int:
    """Not what it shares by mapping: of a database that would be its cache, which may fill. Pages that a fork
    has not written to yet are counted in both: a sum over supervisors is more than they take.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)

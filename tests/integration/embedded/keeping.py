"""Starts, kills and questions embedded databases."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict

KEEPER = Path(__file__).with_name("keeper.py")
PATIENCE = 60.0


@dataclass(frozen=True)
class Keeper:
    """`told` is its one line: {url} once PostgreSQL accepts connections, or {error, detail}."""

    process: subprocess.Popen[bytes]
    told: dict[str, str]

    @property
    def url(self) -> str:
        return self.told["url"]


@contextmanager
def keeping(directory: Path, run_as: Sequence[str] = (), **environment: str) -> Iterator[Keeper]:
    process = subprocess.Popen(
        [*run_as, sys.executable, str(KEEPER), str(directory)],
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
        cwd="/",
    )
    try:
        assert process.stdout is not None
        yield Keeper(process, json.loads(process.stdout.readline()))
    finally:
        process.kill() if sys.exc_info()[0] else process.terminate()
        process.communicate(timeout=PATIENCE)


def eventually(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)
    return answer


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def one(url: str, question: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def accepts(url: str) -> bool:
    try:
        return bool(one(url, "SELECT true"))
    except psycopg.OperationalError:
        return False


def postmaster(directory: Path) -> psutil.Process:
    pid = int((directory / "cluster" / "postmaster.pid").read_text().split("\n", 1)[0])
    return psutil.Process(pid)


def sockets(url: str) -> Path:
    return Path(str(conninfo_to_dict(url)["host"]))


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def superuser_url(directory: Path, url: str) -> str:
    own, superuser = ((directory / f"{role}.password").read_text() for role in ("etl", "postgres"))
    return url.replace(f"etl:{own}@/etl", f"postgres:{superuser}@/postgres")

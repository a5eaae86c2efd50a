"""`etl worker` as a process, beside a test that owns the database."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.faults.node import LEASE, Place

ETL = Path(__file__).parents[2] / "src/entrypoints/cli/__main__.py"


def start_worker(
    place: Place,
    url: str,
    environment: Mapping[str, str] | None = None,
    name: str = "worker",
    before: Callable[[], None] | None = None,
) -> "subprocess.Popen[bytes]":
    """Its log is NAME.log, its data directory NAME. `before` is done in its process, before its exec."""
    settings = {
        "ETL_DATABASE__URL": url,
        "ETL_DATA__DIRECTORY": str(place.directory / name),
        "ETL_SCRIPTS__DIRECTORY": str(place.scripts),
        "ETL_LOGS__DIRECTORY": str(place.directory / "logs"),
        "ETL_WORKER__SLOTS": "2",
        "ETL_WORKER__LEASE": f"{LEASE:g}s",
        "ETL_WORKER__LAST_LEASE": "60s",
        "ETL_WORKER__POLL": "200ms",
        "ETL_TELEMETRY__LOG_FORMAT": "json",
    }
    with (place.directory / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", str(ETL), "worker"],
            env={**os.environ, **settings, **(environment or {})},
            cwd=place.directory,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=before,  # noqa: PLW1509 - nothing of it takes a lock
        )


@contextmanager
def worker_process(
    place: Place,
    url: str,
    environment: Mapping[str, str] | None = None,
    name: str = "worker",
    before: Callable[[], None] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Stopped in an orderly way at the end, unless the test has killed it."""
    process = start_worker(place, url, environment, name, before)
    try:
        yield process
        if process.poll() is None:
            process.terminate()
            status = process.wait(60)
            assert status == 0, f"it ended with {status}"
    except BaseException as error:
        error.add_note((place.directory / f"{name}.log").read_text()[-3000:])
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def gone(process: "subprocess.Popen[bytes]") -> int:
    """Its status, without stopping the event loop that its connections go through."""
    return await asyncio.to_thread(process.wait, 60)

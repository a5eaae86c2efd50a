"""Readers of a live log get every byte and every line once, whoever is killed meanwhile."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, until

LINE_BYTES = 130
PRINTER = """
import sys, time
lines = int(sys.argv[1])
for begin in range(0, lines, 2000):
    sys.stdout.write("".join(f"{n:0129d}\\n" for n in range(begin, min(begin + 2000, lines))))
    sys.stdout.flush()
    time.sleep(0.08)
"""


def written(count: int) -> Iterator[bytes]:
    """The lines that it prints."""
    return (b"%0129d\n" % n for n in range(count))


@contextmanager
def following(own: Installation, out: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`etl logs -f` into a file."""
    with out.open("wb") as file:
        reader = subprocess.Popen(
            own.argv("logs", "-f", *arguments),
            cwd=own.directory,
            env=own.environment(),
            stdout=file,
            stderr=subprocess.DEVNULL,
        )
    try:
        yield reader
    finally:
        reader.kill()
        reader.wait()


def test_readers_get_each_byte_once_while_worker_and_api_are_killed(
    own: Installation, database_url: str, pytestconfig: pytest.Config
) -> None:
    size = pytestconfig.getoption("--log-mib") * 2**20
    count, patience = size // LINE_BYTES, 90 + size / 1e6  # it prints some 3 MB/s
    own.flags = [f"--database.url={database_url}"]
    api = own.serve("api")
    worker = own.spawn("worker")
    job_id = own.submit(script=own.script("print.py", PRINTER), args=[str(count)])
    raw, lines = own.directory / "raw", own.directory / "lines"
    with following(own, raw, job_id) as copying, following(own, lines, job_id, "--timestamps") as timing:
        for part, victim in ((size // 10, "worker"), (size // 3, "api")):
            until(lambda part=part: raw.stat().st_size > part or None, "the reader to have it", patience)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            assert own.job(job_id)["state"] == "running"
            if victim == "worker":
                own.crash(worker)
                own.spawn("worker")
            else:
                own.crash(api)
                own.serve("api")
        assert copying.wait(patience) == 0
        assert timing.wait(patience) == 0
    assert own.ended(job_id)["state"] == "succeeded"
    for copy in (raw, next((own.data / "logs").rglob("*.log"))):
        with copy.open("rb") as file:
            assert all(got == line for got, line in zip_longest(file, written(count)))
    with lines.open("rb") as file:
        assert all(
            got == line for got, line in zip_longest((x.split(maxsplit=2)[2] for x in file), written(count))
        )

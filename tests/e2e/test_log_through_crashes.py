"""Readers of a live log get every byte and every line once, whoever is killed meanwhile."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.installation import Installation, until

LINES = 150_000
PRINTER = f"""
import sys, time
for begin in range(0, {LINES}, 2000):
    sys.stdout.write("".join(f"{{n:0129d}}\\n" for n in range(begin, begin + 2000)))
    sys.stdout.flush()
    time.sleep(0.08)
"""
WHOLE = b"".join(b"%0129d\n" % n for n in range(LINES))


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
    own: Installation, database_url: str
) -> None:
    own.flags = [f"--database.url={database_url}"]
    api = own.serve("api")
    worker = own.spawn("worker")
    job_id = own.submit(script=own.script("print.py", PRINTER))
    raw, lines = own.directory / "raw", own.directory / "lines"
    with following(own, raw, job_id) as copying, following(own, lines, job_id, "--timestamps") as timing:
        for size, victim in ((len(WHOLE) // 10, "worker"), (len(WHOLE) // 3, "api")):
            until(lambda size=size: raw.stat().st_size > size or None, "the reader to have some of it")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            if victim == "worker":
                own.crash(worker)
                own.spawn("worker")
            else:
                own.crash(api)
                own.serve("api")
        assert own.ended(job_id)["state"] == "succeeded"
        assert (copying.wait(90), timing.wait(90)) == (0, 0)
    assert raw.read_bytes() == WHOLE
    assert [line.split(maxsplit=2)[2] for line in lines.read_bytes().splitlines()] == WHOLE.splitlines()
    assert next((own.data / "logs").rglob("*.log")).read_bytes() == WHOLE

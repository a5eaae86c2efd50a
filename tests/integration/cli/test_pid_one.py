"""As the first process of a container, `etl` reaps what was orphaned and passes signals and statuses on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "src"
PROGRAM = f"""
import os, signal, sys, time
sys.path.insert(0, {str(SOURCES)!r})
from entrypoints.cli import pid_one
assert os.getpid() == 1
pid_one.stand_by()
"""
ORPHAN = """
if not os.fork():          # a child that leaves a grandchild behind, which ends at once
    if not os.fork():
        os._exit(0)
    os._exit(0)
os.wait()
"""


@contextmanager
def first_process(text: str) -> Iterator["subprocess.Popen[str]"]:
    """Python that is process 1 of a namespace, and sees only that one in /proc."""
    argv = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        sys.executable,
        "-c",
        PROGRAM + text,
    ]
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    probe = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"this machine gives no process namespace: {probe.stderr.decode().strip()}")


@pytest.mark.parametrize(("how", "status"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137), ("", 0)])
def test_its_status_is_that_of_the_command(how: str, status: int) -> None:
    with first_process(how) as process:
        assert process.wait(60) == status


def test_orphans_are_reaped() -> None:
    look = (
        ORPHAN
        + """
while len([name for name in os.listdir("/proc") if name.isdigit()]) > 2:
    time.sleep(0.01)
"""
    )
    with first_process(look) as process:
        assert process.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_command(number: signal.Signals) -> None:
    listen = f"""
signal.signal({int(number)}, lambda *_: sys.exit(7))
print("listening", flush=True)
while True:
    signal.pause()
"""
    with first_process(listen) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        os.kill(first_of(process.pid), number)
        assert process.wait(60) == 7


def first_of(unshare: int) -> int:
    """The child of unshare(1), which is process 1 below it."""
    return int(Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()[0])

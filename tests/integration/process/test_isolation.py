"""What a program gets, and what it cannot reach."""

import ast
import ctypes
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.process.rig import WAYS, Rig, a_rig, eventually, looks_into_the_zygote

SOURCE_ROOT = Path(__file__).parents[3] / "src"
_PR_CAPBSET_DROP = 24
_OF_GLIBC = 0b11 << 31  # signals 32 and 33: its posix_spawn leaves them ignored, its threads set them anew
_READ_OTHERS = (19, 21, 38)  # CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON (the last two since Linux 6.15)


@pytest.fixture(params=WAYS)
async def rig(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as rig:
        rig.way = request.param
        yield rig


async def test_the_environment_is_what_was_asked_for_and_the_scratch_directory(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    environment = {"PATH": "/usr/bin:/bin", "UMLAUT": "ä€😀", "LINES": "a\nb", "EMPTY": ""}
    process = await rig.start("/usr/bin/env", "-0", environment=environment)
    await process.wait()
    entries = rig.log(process).decode().rstrip("\0").split("\0")
    found = dict(entry.split("=", 1) for entry in entries)
    assert found == environment | {"ETL_WORK_DIR": str(rig.scratch(process))}


async def test_arguments_pass_through_no_shell(rig: Rig) -> None:
    arguments = ["$HOME", "`id`", "a b", "", "*", "ä\udc80", "'\"\\", "--flag=1\n2"]
    process = await rig.start(
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import os, sys; print([os.fsencode(a) for a in sys.argv[1:]])",
        *arguments,
    )
    await process.wait()
    assert ast.literal_eval(rig.log(process).decode()) == [os.fsencode(a) for a in arguments]


async def test_no_descriptor_is_inherited(rig: Rig, tmp_path: Path) -> None:
    """Neither those that this process left inheritable, nor the control connection (recv_fds gives
    inheritable ones), nor the lock of the run directory.
    """
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - by position only
        _, log = await rig.run_python(
            "import os\n"
            "for fd in sorted(map(int, os.listdir('/proc/self/fd'))):\n"
            "    try: print(fd, os.readlink(f'/proc/self/fd/{fd}').split(':')[0])\n"
            "    except OSError: pass"
        )
    assert log.decode().splitlines() == ["0 /dev/null", "1 pipe", "2 pipe"]


@looks_into_the_zygote
async def test_a_zygote_inherits_nothing_either(rig: Rig) -> None:
    """The sockets lead to the worker and to the supervisor that waits for the next attempt."""
    await rig.run("/bin/true")  # so the zygote has come up
    names = [name.removeprefix(str(rig.run_directory)) for name in _open_files(rig.zygote)]
    kinds = sorted(name.split(":")[0] for name in names)
    assert kinds == ["/dev/null", "/dev/null", "/lock", "/supervisor.log", "pipe", "pipe", "socket", "socket"]


async def test_standard_input_is_empty(rig: Rig) -> None:
    _, log = await rig.run_sh("wc -c; cat; echo end")
    assert log.split() == [b"0", b"end"]


async def test_signals_are_as_they_were_at_birth(tmp_path: Path) -> None:
    """A service ignores SIGPIPE and SIGTERM and blocks signals, and its shell's `&` has SIGQUIT ignored."""
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        async with a_rig(tmp_path) as rig:
            _, log = await rig.run("/bin/cat", "/proc/self/status")
    finally:
        signal.signal(signal.SIGQUIT, before)
    fields = dict(line.split(":", 1) for line in log.decode().splitlines())
    masks = {name: int(fields[name], 16) & ~_OF_GLIBC for name in ("SigBlk", "SigIgn", "SigCgt")}
    assert masks == {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


async def test_a_program_has_a_session_of_its_own_and_no_new_privileges(rig: Rig) -> None:
    _, log = await rig.run_python(
        "import os\nprint(os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid(), oct(os.umask(0)))\n"
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith('NoNewPrivs')])"
    )
    assert log.decode().splitlines() == ["True True 0o77", "['1']"]


async def test_the_scratch_directory_is_private_and_removed_with_the_attempt(rig: Rig) -> None:
    process = await rig.start_python(
        "import os\n"
        "os.chdir(os.environ['ETL_WORK_DIR'])\n"
        "print(oct(os.stat('.').st_mode & 0o777), os.listdir('.'))\n"
        "open('file', 'w').write('x'); os.symlink('/', 'link'); os.mkfifo('fifo')\n"
        "os.mkdir('d'); os.chmod('d', 0); os.chmod('.', 0)"
    )
    assert (await process.wait()).exit_code == 0
    assert rig.log(process) == b"0o700 []\n"
    assert not rig.scratch(process).exists()
    assert _exists("/bin/sh")


async def test_a_scratch_directory_of_any_depth_is_removed(rig: Rig) -> None:
    """The end waits for it for some seconds, no longer: a slow disk may take more."""
    process = await rig.start_python(
        "import os\n"
        "os.chdir(os.environ['ETL_WORK_DIR'])\n"
        "for _ in range(1500): os.mkdir('d'); open('d/f', 'w').close(); os.chdir('d')\n"
        "os.chmod('.', 0)"
    )
    assert (await process.wait()).exit_code == 0
    await eventually(lambda: not rig.scratch(process).exists())


async def test_attempts_are_for_the_worker_alone(rig: Rig) -> None:
    process = await rig.start("/bin/echo", "word")
    await process.wait()
    directory = rig.attempt_directory(process)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in directory.glob("*.json")} == {
        "attempt.json": "0o600",
        "result.json": "0o600",
    }
    assert rig.log_file(process).stat().st_mode & 0o777 == 0o600


async def test_the_environment_of_a_job_lies_in_no_file(rig: Rig) -> None:
    process = await rig.start("/bin/sh", "-c", "exit 0", environment={"TOKEN": "correct horse battery"})
    await process.wait()
    texts = [path.read_bytes() for path in rig.directory.rglob("*") if path.is_file()]
    assert texts
    assert not any(b"correct horse" in text for text in texts)


@pytest.mark.skipif(os.geteuid() != 0, reason="dropping a capability from the bounding set needs root")
def test_a_program_of_the_same_user_reads_no_secret_of_the_worker(tmp_path: Path) -> None:
    """Without PR_SET_DUMPABLE 0 it read the database password from /proc/<worker>/environ. The worker
    here has no capability to read others, as a worker of a plain user would not.
    """
    spy = (
        "import os\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try: data = open(f'/proc/{pid}/environ', 'rb').read()\n"
        "    except OSError as error: continue\n"
        "    if b'hunter2' in data: print('FOUND', pid)\n"
        "print('looked at', os.getppid())"
    )
    worker = textwrap.dedent(f"""
        import asyncio, pathlib, sys
        sys.path[:0] = [{str(SOURCE_ROOT)!r}, {str(SOURCE_ROOT.parent)!r}]
        from adapters.process.runner import SupervisedProcessRunner
        from tests.integration.process.rig import PYTHON, Rig
        async def main():
            path = pathlib.Path({str(tmp_path)!r})
            rig = Rig(path, SupervisedProcessRunner(path / "run"))
            await rig.runner.open()
            exit_, log = await rig.run(*PYTHON, {spy!r})
            print(exit_.exit_code, log.decode())
            await rig.runner.close()
        asyncio.run(main())
    """)
    done = subprocess.run(
        [sys.executable, "-c", worker],
        env={"DATABASE_PASSWORD": "hunter2"},
        preexec_fn=_as_a_plain_user_would,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("0 looked at")
    assert "FOUND" not in done.stdout


def _open_files(pid: int) -> list[str]:
    return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]


def _exists(path: str) -> bool:
    return Path(path).exists()


def _as_a_plain_user_would() -> None:
    for capability in _READ_OTHERS:
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)

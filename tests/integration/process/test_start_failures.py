"""A program that cannot be started says why, in a sentence. F50, F53."""

import errno
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.process.supervisor import start_errors, zygote
from adapters.process.supervisor.channel import Channel
from adapters.process.supervisor.wakeup import Wakeup
from domain.attempt import Exit
from tests.integration.process.rig import CLOCK, WAYS, Rig, a_rig, eventually
from tests.small_disk import small_disk


@pytest.fixture(params=WAYS)
async def rig(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as rig:
        rig.way = request.param
        yield rig


def _file(directory: Path, name: str, text: str, mode: int = 0o755) -> str:
    path = directory / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)


async def _why(rig: Rig, program: str, *arguments: str, directory: Path | None = None) -> str:
    process = await rig.start(program, *arguments, directory=directory or rig.directory)
    exit_ = await process.wait()
    assert (exit_.exit_code, exit_.signal_number, exit_.lost, exit_.processes_left) == (None, None, None, 0)
    assert exit_.start_error is not None
    assert str(rig.directory) not in exit_.start_error
    return exit_.start_error


async def test_f50_a_missing_program(rig: Rig) -> None:
    assert await _why(rig, str(rig.directory / "load.sh")) == "The program load.sh does not exist."


async def test_f50_a_name_that_is_nowhere_on_the_path(rig: Rig) -> None:
    _file(rig.directory, "load", "#!/bin/sh\n")  # where the program begins is no place to look
    assert await _why(rig, "load") == "The program load is in no directory of PATH."


async def test_a_name_is_looked_for_on_the_path_of_the_job(rig: Rig) -> None:
    _file(rig.directory, "load", "#!/bin/sh\necho found\n")
    _, log = await rig.run("load", environment={"PATH": f"/no/such:{rig.directory}"})
    assert log == b"found\n"


async def test_a_name_is_found_where_the_job_has_no_path(rig: Rig) -> None:
    _, log = await rig.run("sh", "-c", "echo found", environment={})
    assert log == b"found\n"


async def test_f50_a_program_below_a_file(rig: Rig) -> None:
    assert "no directory" in await _why(rig, _file(rig.directory, "a", "") + "/load")


async def test_f50_a_file_without_the_right_to_execute(rig: Rig) -> None:
    program = _file(rig.directory, "load.sh", "#!/bin/sh\n", 0o644)
    assert await _why(rig, program) == "The program load.sh is not executable."


async def test_f50_a_directory(rig: Rig) -> None:
    assert "is a directory" in await _why(rig, str(rig.directory))


async def test_f50_a_script_whose_interpreter_is_missing(rig: Rig) -> None:
    program = _file(rig.directory, "load", "#!/no/such/python\n")
    assert "interpreter that load names in its first line does not exist" in await _why(rig, program)


async def test_f50_a_text_without_a_first_line(rig: Rig) -> None:
    assert "names an interpreter (#!)" in await _why(rig, _file(rig.directory, "load", "echo hi\n"))


async def test_f50_a_working_directory_that_has_gone(rig: Rig) -> None:
    why = await _why(rig, "/bin/true", directory=rig.directory / "gone")
    assert why == "The working directory does not exist."


async def test_a_working_directory_that_is_a_file(rig: Rig) -> None:
    path = Path(_file(rig.directory, "file", ""))
    assert await _why(rig, "/bin/true", directory=path) == "The working directory is no directory."


async def test_f50_more_arguments_than_the_system_takes(rig: Rig) -> None:
    """One of more than 128 KiB, and the largest request that passes through zygote and supervisor."""
    assert "larger than the system allows" in await _why(rig, "/bin/true", "x" * 200_000)
    assert "larger than the system allows" in await _why(rig, "/bin/true", *["x" * 100_000] * 100)


async def test_a_nul_that_nobody_refused_before(rig: Rig) -> None:
    assert "NUL" in await _why(rig, "/bin/true", "a\0b")


async def test_a_symbolic_link_that_points_to_itself(rig: Rig) -> None:
    link = rig.directory / "loop"
    link.symlink_to(link)
    assert "too many symbolic links" in await _why(rig, str(link))


async def test_a_program_that_is_being_written(rig: Rig) -> None:
    program = rig.directory / "load"
    shutil.copy("/bin/true", program)
    writer = os.open(program, os.O_WRONLY)
    try:
        assert "is being written" in await _why(rig, str(program))
    finally:
        os.close(writer)


async def test_a_scratch_directory_that_cannot_be_made(rig: Rig) -> None:
    launch = rig.launch("/bin/true")
    (rig.run_directory / "work" / f"{launch.ref.job_id}-1").touch()
    exit_ = await (await rig.runner.start(launch)).wait()
    assert exit_.start_error == "The scratch directory could not be made: File exists (EEXIST)."


async def test_an_attempt_directory_that_cannot_be_made(rig: Rig) -> None:
    rig.run_directory.rename(rig.directory / "away")
    try:
        exit_ = await (await rig.start("/bin/true")).wait()
    finally:
        (rig.directory / "away").rename(rig.run_directory)
    assert exit_.start_error is not None
    assert "ENOENT" in exit_.start_error


async def test_a_start_past_the_deadline_executes_nothing(rig: Rig) -> None:
    exit_, _ = await _late(rig)
    assert exit_.lost == "Its lease had expired before the program could be started."
    assert not (rig.directory / "started").exists()


async def _late(rig: Rig) -> tuple[Exit, bool]:
    process = await rig.start("/bin/touch", "started", deadline=CLOCK.elapsed() - 0.1)
    return await process.wait(), rig.log_file(process).exists()


async def test_the_next_start_after_a_failed_one_is_not_harmed(rig: Rig) -> None:
    for _ in range(20):
        await _why(rig, str(rig.directory / "missing"))
    assert (await rig.run("/bin/true"))[0].exit_code == 0


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_f53_a_machine_that_forks_no_more_fails_this_start_and_not_the_zygote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """F53: what brings it about (pids.max, RLIMIT_NPROC) does not hold for root, so fork itself says it."""

    def full() -> int:
        raise OSError(number, os.strerror(number))

    worker, zygote_end = socket.socketpair()
    control, theirs = socket.socketpair()
    silent = _Silent()
    forks = zygote.Zygote(zygote_end, os.open(os.devnull, os.O_RDONLY), silent)
    monkeypatch.setattr(os, "fork", full)
    message = {"start": "job-1", "directory": str(tmp_path / "job-1")}
    forks._start(message, theirs.detach(), os.open(os.devnull, os.O_RDONLY))
    messages = Channel(control).receive()
    assert messages == [{"exit": {"start_error": start_errors.FULL, "machine_full": True}}]
    assert list(tmp_path.iterdir()) == []  # an attempt without a socket has provably never started
    forks._let_go()
    os.close(silent._read)
    os.close(silent._write)
    worker.close()
    control.close()


@pytest.mark.parametrize("most", [1, 2], ids=["no supervisor", "no program"])
async def test_f53_a_full_machine_says_so_and_starts_again_when_it_has_room(rig: Rig, most: int) -> None:
    """F53 for real: the zygote in a group of processes that allows it itself, or a supervisor besides."""
    group = Path("/sys/fs/cgroup/pids") / f"etl-test-{os.getpid()}"
    if not os.access(group.parent / "cgroup.procs", os.W_OK):
        pytest.skip("no group with a limit of processes (version 1) may be made here")
    _confined(group, rig.zygote, most)
    exit_ = await (await rig.start("/bin/true")).wait()
    assert (exit_.start_error, exit_.machine_full) == (start_errors.FULL, True)
    (group / "pids.max").write_text("max")
    again, _ = await rig.run("/bin/true")
    assert (again.exit_code, again.machine_full) == (0, False)
    await rig.runner.close()
    await eventually(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def _confined(group: Path, pid: int, most: int) -> None:
    group.mkdir()
    (group / "cgroup.procs").write_text(str(pid))
    (group / "pids.max").write_text(str(most))


class _Silent(Wakeup):
    """SIGCHLD handling belongs to the whole process, and this one is pytest's."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()


@pytest.mark.parametrize("step", ["prepare", "directory", "program"])
@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_number_has_a_sentence(step: str, number: int) -> None:
    text = start_errors.sentence("/srv/scripts/load.sh", step, number)
    assert text.endswith(".")
    assert "{" not in text
    assert "/srv" not in text


@pytest.mark.parametrize("inodes", [0, 1, 2, 3], ids=["directory", "socket", "record", "scratch"])
async def test_f45_an_attempt_whose_files_cannot_be_made_says_that_the_machine_is_full(
    tmp_path: Path, inodes: int
) -> None:
    """F45: or the worker would fail its whole queue, job by job. Then it starts again."""
    with small_disk(tmp_path / "run", 4, "nr_inodes=50"):
        async with a_rig(tmp_path) as rig:
            ballast = [tmp_path / "run" / f"ballast-{number}" for number in range(free_inodes(rig) - inodes)]
            for file in ballast:
                file.touch()
            process = await rig.start("/bin/true")
            exit_ = await process.wait()
            assert (exit_.exit_code, exit_.machine_full) == (None, True)
            assert exit_.start_error is not None
            assert "ENOSPC" in exit_.start_error
            await process.forget()
            for file in ballast:
                file.unlink()
            again, _ = await rig.run("/bin/true")
            assert again.exit_code == 0


def free_inodes(rig: Rig) -> int:
    return os.statvfs(rig.run_directory).f_favail

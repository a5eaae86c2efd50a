"""Many attempts: nothing leaks, and nothing waits for another."""

import asyncio
import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.integration.process.rig import Rig, children_of, eventually, looks_into_the_zygote


@looks_into_the_zygote
async def test_f39_attempts_in_a_row_leave_no_descriptor_thread_or_zombie(
    rig: Rig, request: pytest.FixtureRequest
) -> None:
    """F39: 1,000 of them; `--attempts=10000 --timeout=900` is the large run."""
    await _one(rig)  # brings the executor's threads, and a supervisor, to life
    before = _held(rig)
    for _ in range(int(request.config.getoption("--attempts"))):
        await _one(rig)
    await eventually(lambda: all(now <= then for now, then in zip(_held(rig), before, strict=True)))
    names = sorted(path.name for path in rig.run_directory.iterdir())
    places = [name for name in names if name.startswith(f"forgotten-{rig.zygote}-")]
    assert len(places) == len(children_of(rig.zygote))  # where those that wait will attend the next
    assert names == [*places, "lock", "supervisor.log", "work", "worker"]
    assert list((rig.run_directory / "work").iterdir()) == []


TOUCHES = {
    "a file": "open('x', 'w')",
    "a file that is gone again": "open('x', 'w'); os.unlink('x')",
    "a directory": "os.mkdir('x')",
    "its mode": "os.chmod('.', 0o777)",
    "an attribute": "os.setxattr('.', 'user.x', b'y')",
    "its place": "os.rmdir(os.environ['ETL_WORK_DIR'])",
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
async def test_a_program_finds_nothing_of_the_one_before_in_its_scratch_directory(
    rig: Rig, touch: str
) -> None:
    """Directories that nobody has touched are used again; one that was touched is not."""
    look = (
        "import os; os.chdir(os.environ['ETL_WORK_DIR']);"
        "print(oct(os.stat('.').st_mode), os.listdir('.'), os.listxattr('.'), os.stat('.').st_ino);"
    )
    for source in (look, look + touch, look, look):
        process = await rig.start_python(source)
        assert (await process.wait()).exit_code == 0
        assert rig.log(process).startswith(b"0o40700 [] [] ")
        assert not rig.scratch(process).exists()
        await process.forget()
    assert len(children_of(rig.zygote)) == 1  # one supervisor had them all


async def test_an_untouched_scratch_directory_and_the_files_of_an_attempt_are_used_again(rig: Rig) -> None:
    found = set()
    for _ in range(5):
        process = await rig.start("/bin/sh", "-c", "stat -c %i $ETL_WORK_DIR")
        await process.wait()
        files = sorted((path.name, path.stat().st_ino) for path in rig.attempt_directory(process).iterdir())
        found.add((rig.log(process), rig.attempt_directory(process).stat().st_ino, *files))
        await process.forget()
        assert not rig.attempt_directory(process).exists()
    assert len(found) == 1


async def test_whoever_removes_the_place_of_a_supervisor_costs_no_attempt(rig: Rig) -> None:
    await _one(rig)
    for place in rig.run_directory.glob("forgotten-*"):
        shutil.rmtree(place)
    await _one(rig)


async def test_supervisors_that_wait_take_their_places_with_them(rig: Rig) -> None:
    await asyncio.gather(*(_one(rig) for _ in range(5)))
    assert any(rig.run_directory.glob("forgotten-*"))
    await rig.runner.close()
    await eventually(lambda: not any(rig.run_directory.glob("forgotten-*")))


async def test_two_hundred_at_once(rig: Rig) -> None:
    processes = await asyncio.gather(
        *(rig.start("/bin/sh", "-c", f"sleep 1; exit {number}", rig.mark) for number in range(200))
    )
    ends = await asyncio.gather(*(process.wait() for process in processes))
    assert [end.exit_code for end in ends] == list(range(200))


async def _one(rig: Rig) -> None:
    process = await rig.start("/bin/true")
    assert (await process.wait()).exit_code == 0
    await process.forget()


def _held(rig: Rig) -> tuple[int, ...]:
    """Descriptors of worker and zygote, children of the zygote, threads that are no executor's; and what
    the one supervisor that waits for the next attempt has open and below it.
    """
    threads = [t for t in threading.enumerate() if not t.name.startswith("asyncio_")]
    waiting = children_of(rig.zygote)
    return (
        _descriptors(os.getpid()),
        len(threads),
        _descriptors(rig.zygote),
        len(waiting),
        sum(_descriptors(pid) for pid in waiting),
        sum(len(children_of(pid)) for pid in waiting),
    )


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))

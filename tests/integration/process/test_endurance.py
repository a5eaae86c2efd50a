"""Many attempts: nothing leaks, and nothing waits for another."""

import asyncio
import os
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
    assert names == ["lock", "supervisor.log", "work", "worker"]
    assert list((rig.run_directory / "work").iterdir()) == []


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

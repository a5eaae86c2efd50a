"""`left_behind: keep`: what a program leaves lives on, and the record says so. Nothing else changes."""

import os
import signal
from pathlib import Path

import pytest

from adapters.process.runner import SupervisedProcessRunner
from adapters.process.supervisor import tree
from domain.attempt import Stop
from domain.policy import LeftBehind
from tests.integration.process.evil import LEAVER, SLEEPER
from tests.integration.process.rig import (
    CONTAINMENTS,
    Rig,
    a_rig,
    eventually,
    groups_of,
    is_alive,
    supervisor_of,
)
from tests.integration.process.test_trees import DAEMON


@pytest.fixture
def keep() -> dict[str, LeftBehind]:
    return {"left_behind": LeftBehind.KEEP}


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_daemon_lives_on_after_status_0_and_is_named(
    tmp_path: Path, keep: dict[str, LeftBehind], containment: str
) -> None:
    async with a_rig(tmp_path, containment) as rig:
        await _keeps_a_daemon(rig, keep)


async def _keeps_a_daemon(rig: Rig, keep: dict[str, LeftBehind]) -> None:
    process = await rig.start_python(DAEMON.replace("MARK", repr(rig.mark)) + "os.wait()\n", **keep)
    exit_ = await process.wait()
    (daemon,) = rig.survivors()
    assert (exit_.exit_code, exit_.left_behind, exit_.processes_left) == (0, 1, 1)
    assert exit_.kept == (f"{daemon} {_name(daemon)}",)
    assert not rig.scratch(process).exists()
    await process.forget()
    assert is_alive(daemon)
    await _ends(rig, daemon)


async def test_what_is_kept_outlives_its_worker_and_the_sweep_of_the_next(
    rig: Rig, keep: dict[str, LeftBehind]
) -> None:
    """By its environment it would be an orphan: its attempt is forgotten."""
    process = await rig.start_python(LEAVER, **keep)
    assert (await process.wait()).left_behind == 1
    await process.forget()
    (kept,) = rig.survivors()
    heir = SupervisedProcessRunner(rig.directory / "run")
    await rig.runner.close()
    await heir.open()
    assert await heir.adopt() == []
    assert is_alive(kept)
    await heir.close()
    await rig.runner.open()
    await _ends(rig, kept)


async def test_the_log_ends_with_the_attempt_and_who_writes_later_is_not_blocked(
    rig: Rig, keep: dict[str, LeftBehind]
) -> None:
    process = await rig.start_python(LEAVER, **keep)
    exit_ = await process.wait()
    (kept,) = rig.survivors()
    (rig.directory / "over").touch()
    ticks = rig.directory / "alive"
    before = ticks.stat().st_size
    await eventually(lambda: ticks.stat().st_size > before + 50)  # far more than the pipe holds
    assert rig.log(process) == b"begun\n"
    assert (exit_.log_bytes, exit_.log_lost_bytes) == (6, 0)
    await process.forget()
    await _ends(rig, kept)


async def test_the_death_of_another_supervisor_is_not_theirs(rig: Rig, keep: dict[str, LeftBehind]) -> None:
    process = await rig.start_python(LEAVER, **keep)
    await process.wait()
    (kept,) = rig.survivors()
    lost = await rig.start("/bin/sh", "-c", "setsid sleep 1000 & kill -9 $PPID; sleep 1000", rig.mark)
    assert (await lost.wait()).lost is not None
    assert rig.survivors() == [kept]
    await process.forget()
    await _ends(rig, kept)


@pytest.mark.parametrize("end", ["os._exit(3)", "os.abort()"])
async def test_after_any_other_end_nothing_is_kept(rig: Rig, keep: dict[str, LeftBehind], end: str) -> None:
    exit_, _ = await rig.run_python(LEAVER + end, **keep)
    assert (exit_.left_behind, exit_.kept, exit_.processes_left) == (1, (), 0)
    assert rig.survivors() == []


async def test_a_cancel_or_a_timeout_keeps_nothing(rig: Rig, keep: dict[str, LeftBehind]) -> None:
    process = await rig.start_python(LEAVER + SLEEPER, **keep)
    await rig.says(process, b"up")
    process.stop()
    exit_ = await process.wait()
    assert (exit_.stopped, exit_.kept, exit_.processes_left) == (Stop.CANCEL, (), 0)
    late, _ = await rig.run_python(LEAVER + SLEEPER, timeout_seconds=0.5, **keep)
    assert (late.stopped, late.kept, late.processes_left) == (Stop.TIMEOUT, (), 0)
    assert rig.survivors() == []


async def test_who_leaves_nothing_is_as_any_other(rig: Rig, keep: dict[str, LeftBehind]) -> None:
    exit_, log = await rig.run_sh("sleep 0.2 & echo out", **keep)
    assert (exit_.exit_code, exit_.left_behind, exit_.kept, log) == (0, 0, (), b"out\n")


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


async def _ends(rig: Rig, kept: int) -> None:
    """With the last of them go its supervisor, its control group and the mark that spared it."""
    supervisor, groups = supervisor_of(kept), groups_of(rig, kept)
    os.kill(kept, signal.SIGKILL)
    await eventually(lambda: not is_alive(supervisor))
    assert list(rig.run_directory.glob("kept-*")) == []
    await eventually(lambda: not any(group.exists() for group in groups))
    assert tree.entry_of(kept) is None

"""Death of the supervisor and of the zygote, under a worker that lives."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from adapters.process import run_directory
from adapters.process.running import SupervisedProcess
from domain.attempt import Stop
from tests.integration.process.evil import HIDDEN_CHILD, SLEEPER
from tests.integration.process.rig import (
    WAYS,
    Rig,
    a_rig,
    children_of,
    eventually,
    is_alive,
    supervisor_of,
)

# -- the supervisor --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [SLEEPER, HIDDEN_CHILD], ids=["alone", "with a hidden child"])
async def test_f34_a_killed_supervisor_is_told_as_lost_and_leaves_nothing(rig: Rig, source: str) -> None:
    """F34: the main process dies with it, the zygote kills what fell to it, before the end is told."""
    process = await rig.start_python(source)
    await rig.says(process, b"up")
    os.kill(_supervisor(rig), signal.SIGKILL)
    exit_ = await process.wait()
    assert rig.survivors() == []
    assert (exit_.lost, exit_.processes_left) == (run_directory.UNSUPERVISED, 0)
    assert exit_.log_bytes == 3
    assert not rig.scratch(process).exists()


async def test_f34_a_job_that_kills_its_supervisor_kills_itself(rig: Rig) -> None:
    """F34."""
    process = await rig.start("/bin/sh", "-c", "setsid sleep 1000 & kill -9 $PPID; sleep 1000", rig.mark)
    exit_ = await process.wait()
    assert (exit_.lost, exit_.processes_left) == (run_directory.UNSUPERVISED, 0)


async def test_the_zygote_goes_on_after_a_killed_supervisor(rig: Rig) -> None:
    before = rig.zygote
    other = await rig.start_python(SLEEPER)
    await rig.says(other, b"up")
    await (await rig.start("/bin/sh", "-c", "kill -9 $PPID; sleep 1000", rig.mark)).wait()
    assert (await rig.run("/bin/true"))[0].exit_code == 0
    assert rig.zygote == before
    assert len(rig.survivors()) == 1
    other.stop()
    assert (await other.wait()).stopped is Stop.CANCEL


async def test_a_stopped_supervisor_does_not_block_the_worker(rig: Rig) -> None:
    process = await rig.start_python(SLEEPER)
    await rig.says(process, b"up")
    supervisor = _supervisor(rig)
    os.kill(supervisor, signal.SIGSTOP)
    for _ in range(20_000):  # more than the socket takes
        process.extend(1e9)
    process.stop()
    assert (await rig.run("/bin/true"))[0].exit_code == 0
    os.kill(supervisor, signal.SIGCONT)
    await eventually(lambda: is_alive(supervisor))
    await _stopped(process)


async def test_a_supervisor_takes_one_attempt_after_the_other_and_no_end_is_mixed_up(rig: Rig) -> None:
    await _ended(rig, "exit 3")
    (first,) = children_of(rig.zygote)
    await _ended(rig, "kill -9 $$")
    await _ended(rig, "exit 4")
    assert children_of(rig.zygote) == [first]


async def test_a_supervisor_that_is_killed_while_it_waits_costs_no_attempt(rig: Rig) -> None:
    await _ended(rig, "exit 3")
    (waiting,) = children_of(rig.zygote)
    os.kill(waiting, signal.SIGKILL)
    await _ended(rig, "exit 4")
    assert waiting not in children_of(rig.zygote)


# -- the zygote ------------------------------------------------------------------------------------------


async def test_f35_running_jobs_survive_their_zygote_and_the_next_start_makes_a_new_one(rig: Rig) -> None:
    """F35."""
    process = await rig.start_python(SLEEPER)
    await rig.says(process, b"up")
    dead = rig.zygote
    os.kill(dead, signal.SIGKILL)
    await eventually(lambda: not is_alive(dead))
    assert (await rig.run_sh("exit 4"))[0].exit_code == 4
    assert rig.zygote != dead
    process.stop()
    exit_ = await process.wait()
    assert (exit_.stopped, exit_.signal_number) == (Stop.CANCEL, signal.SIGTERM)


async def test_a_zygote_killed_in_a_storm_of_starts_costs_no_certainty(rig: Rig) -> None:
    """Those that the zygote had not come to run under the next one; none hangs, and none runs twice."""
    runs = rig.directory / "runs"
    runs.touch()  # the zygote may be killed before the first has run
    starts = [
        asyncio.ensure_future(rig.start("/bin/sh", "-c", f"echo $ETL_WORK_DIR >> {runs}", rig.mark))
        for _ in range(60)
    ]
    await starts[10]
    os.kill(rig.zygote, signal.SIGKILL)
    processes = await asyncio.gather(*starts)
    ends = await asyncio.wait_for(asyncio.gather(*(process.wait() for process in processes)), 60)
    assert [end.exit_code for end in ends] == [0] * len(processes)
    assert sorted(runs.read_text().split()) == sorted(str(rig.scratch(process)) for process in processes)


async def test_f36_zygote_and_supervisor_killed_together_leave_what_the_tag_finds(rig: Rig) -> None:
    """F36 with the worker alive: nobody is left to inherit the child, so its environment betrays it."""
    process = await rig.start_python(
        "import os, time\nif os.fork() == 0: os.setsid()\nprint('up', flush=True)\ntime.sleep(1000)"
    )
    await rig.says(process, b"up")
    await eventually(lambda: len(rig.survivors()) == 2)
    supervisor = _supervisor(rig)
    os.kill(rig.zygote, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    exit_ = await process.wait()
    assert exit_.lost is not None
    assert rig.survivors() == []


@pytest.mark.parametrize("way", WAYS)
async def test_f36_the_main_process_dies_with_its_supervisor_where_nobody_is_left_to_kill_it(
    tmp_path: Path, way: str
) -> None:
    """F36: no zygote, no group, and no environment to be found by. Only PDEATHSIG or the leash reach it."""
    async with a_rig(tmp_path, "subreaper") as rig:
        rig.way = way
        process = await rig.start_python(
            "import os, sys\n"
            "code = 'import time; print(\"up\", flush=True); time.sleep(1000)'\n"
            "os.execve(sys.executable, [sys.executable, '-I', '-S', '-c', code, sys.argv[1]], {})"
        )
        await rig.says(process, b"up")
        supervisor = _supervisor(rig)
        os.kill(rig.zygote, signal.SIGKILL)
        os.kill(supervisor, signal.SIGKILL)
        await process.wait()
        await eventually(lambda: not rig.survivors())


async def test_supervisors_that_wait_end_with_their_zygote(rig: Rig) -> None:
    """Nobody would inherit what their next program leaves."""
    await _ended(rig, "exit 3")
    (waiting,) = children_of(rig.zygote)
    os.kill(rig.zygote, signal.SIGKILL)
    await eventually(lambda: not is_alive(waiting))
    await _ended(rig, "exit 4")


# -- what the tests look with ----------------------------------------------------------------------------


async def _ended(rig: Rig, line: str) -> None:
    """A whole attempt, whose end is that of the shell's line."""
    process = await rig.start("/bin/sh", "-c", line, rig.mark)
    exit_ = await process.wait()
    await process.forget()
    assert not rig.attempt_directory(process).exists()
    expected = (9, None) if "kill" in line else (None, int(line.removeprefix("exit ")))
    assert (exit_.signal_number, exit_.exit_code) == expected


def _supervisor(rig: Rig) -> int:
    """The only one there is."""
    (supervisor,) = children_of(rig.zygote)
    assert supervisor in {supervisor_of(pid) for pid in rig.survivors()}
    return supervisor


async def _stopped(process: SupervisedProcess) -> None:
    async with asyncio.timeout(30):
        while not process._ended.done():
            process.stop()
            await asyncio.sleep(0.05)
    assert (await process.wait()).stopped is Stop.CANCEL

"""Death of the worker, the zygote, the supervisor, and of all of them at once."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.process import run_directory
from adapters.process.runner import SupervisedProcessRunner
from adapters.process.running import SupervisedProcess
from domain.attempt import Stop
from domain.errors import Unavailable
from tests.integration.process import life
from tests.integration.process.rig import (
    PYTHON,
    Rig,
    children_of,
    eventually,
    is_alive,
    processes_with,
    supervisor_of,
    wait_until,
)

TALKER = (
    "import sys, time\nfor i in range(60):\n    print(i, flush=True)\n    time.sleep(0.02)\nsys.exit(9)\n"
)
SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(1000)"
HIDDEN_CHILD = (
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    os.execve(sys.executable, [sys.executable, '-I', '-S', '-c', 'import time; time.sleep(1000)',"
    " sys.argv[1]], {})\n"
    "print('up', flush=True)\n"
    "time.sleep(1000)"
)


# -- the supervisor --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [SLEEPER, HIDDEN_CHILD], ids=["alone", "with a hidden child"])
async def test_a_killed_supervisor_is_told_as_lost_and_leaves_nothing(rig: Rig, source: str) -> None:
    """F34: the main process dies with it, the zygote kills what fell to it, before the end is told."""
    process = await rig.start_python(source)
    await rig.says(process, b"up")
    os.kill(_supervisor(rig), signal.SIGKILL)
    exit_ = await process.wait()
    assert rig.survivors() == []
    assert (exit_.lost, exit_.processes_left) == (run_directory.UNSUPERVISED, 0)
    assert exit_.log_bytes == 3
    assert not rig.scratch(process).exists()


async def test_a_job_that_kills_its_supervisor_kills_itself(rig: Rig) -> None:
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


# -- the zygote ------------------------------------------------------------------------------------------


async def test_running_jobs_survive_their_zygote_and_the_next_start_makes_a_new_one(rig: Rig) -> None:
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
    """Each attempt ends by itself or is lost; none hangs, and none runs twice."""
    runs = rig.directory / "runs"
    starts = [
        asyncio.ensure_future(rig.start("/bin/sh", "-c", f"echo $ETL_WORK_DIR >> {runs}", rig.mark))
        for _ in range(60)
    ]
    await starts[10]
    os.kill(rig.zygote, signal.SIGKILL)
    processes = await asyncio.gather(*starts)
    ends = await asyncio.wait_for(asyncio.gather(*(process.wait() for process in processes)), 60)
    ran = runs.read_text().split()
    assert len(ran) == len(set(ran))
    for process, end in zip(processes, ends, strict=True):
        has_run = str(rig.scratch(process)) in ran
        assert has_run == (end.exit_code == 0)
        # One that was killed between the socket and the fork cannot be told from one killed after it.
        assert has_run or end.lost in {run_directory.NEVER_STARTED, run_directory.UNSUPERVISED}


async def test_zygote_and_supervisor_killed_together_leave_what_the_tag_finds(rig: Rig) -> None:
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


async def test_the_main_process_dies_with_its_supervisor_where_nobody_is_left_to_kill_it(rig: Rig) -> None:
    """F36: no zygote, and no environment to be found by. Only PDEATHSIG reaches this one."""
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


# -- the worker ------------------------------------------------------------------------------------------


@dataclass
class Doomed:
    """A worker process to kill, and the life that follows it."""

    directory: Path
    mark: str = field(default_factory=lambda: f"mark-{uuid4()}")
    process: subprocess.Popen[bytes] | None = None
    zygote: int = 0

    def live(self, *sources: str) -> list[str]:
        """Starts these programs in a worker of its own; their job ids."""
        launches = [(str(uuid4()), [*PYTHON, source, self.mark]) for source in sources]
        command = [sys.executable, str(life.__file__), str(self.directory), json.dumps(launches)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.zygote = int(self.process.stdout.readline())
        return [job_id for job_id, _ in launches]

    def die(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def said(self, job_id: str, text: str) -> None:
        log = self.directory / f"{job_id}.log"
        wait_until(lambda: log.exists() and text in log.read_text())

    def supervisors(self) -> list[int]:
        return children_of(self.zygote)


@pytest.fixture
async def doomed(tmp_path: Path) -> AsyncIterator[Doomed]:
    worker = Doomed(tmp_path)
    yield worker
    assert processes_with(worker.mark) == []


@pytest.fixture
async def heir(doomed: Doomed) -> AsyncIterator[SupervisedProcessRunner]:
    runner = SupervisedProcessRunner(doomed.directory / "run")
    yield runner
    await runner.close()


async def test_the_next_life_learns_the_true_end_and_the_log_is_whole(
    doomed: Doomed, heir: SupervisedProcessRunner
) -> None:
    """F20, F47: kill -9 of the worker while its program talks."""
    (job_id,) = doomed.live(TALKER)
    doomed.said(job_id, "3\n")
    doomed.die()
    await heir.open()
    (process,) = await heir.adopt()
    exit_ = await process.wait()
    assert (str(process.ref.job_id), process.ref.fence) == (job_id, 7)
    assert (exit_.exit_code, exit_.stopped, exit_.processes_left) == (9, None, 0)
    assert (doomed.directory / f"{job_id}.log").read_text() == "".join(f"{i}\n" for i in range(60))
    await process.forget()
    assert not any((doomed.directory / "run").glob(f"*{job_id}*"))
    assert await heir.adopt() == []


async def test_a_result_outlives_the_worker_that_should_have_reported_it(
    doomed: Doomed, heir: SupervisedProcessRunner
) -> None:
    """F66: the program ended after its worker, and long before the next."""
    (job_id,) = doomed.live("print('up', flush=True)\nimport sys, time; time.sleep(0.3); sys.exit(3)")
    doomed.said(job_id, "up")
    doomed.die()
    wait_until(lambda: not is_alive(doomed.zygote))
    await heir.open()
    (process,) = await heir.adopt()
    assert (await process.wait()).exit_code == 3
    await process.forget()


async def test_an_adopted_program_obeys(doomed: Doomed, heir: SupervisedProcessRunner) -> None:
    (job_id,) = doomed.live(HIDDEN_CHILD)
    doomed.said(job_id, "up")
    doomed.die()
    await heir.open()
    (process,) = await heir.adopt()
    assert processes_with(doomed.mark)
    process.extend(1e9)
    process.stop()
    exit_ = await process.wait()
    assert (exit_.stopped, exit_.processes_left) == (Stop.CANCEL, 0)
    assert processes_with(doomed.mark) == []


async def test_an_adopted_supervisor_that_is_killed_is_lost_too(
    doomed: Doomed, heir: SupervisedProcessRunner
) -> None:
    """Its own zygote, of the life before, is still there to kill what it leaves."""
    (job_id,) = doomed.live(HIDDEN_CHILD)
    doomed.said(job_id, "up")
    doomed.die()
    await heir.open()
    (process,) = await heir.adopt()
    (supervisor,) = doomed.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    assert (await process.wait()).lost == run_directory.UNSUPERVISED
    await eventually(lambda: not processes_with(doomed.mark))


async def test_worker_zygote_and_supervisor_killed_together(
    doomed: Doomed, heir: SupervisedProcessRunner
) -> None:
    """F36: before anything is adopted, what carries this node's tag is swept."""
    forks = "import os, time\nfor _ in range(3): os.fork()\nprint('up', flush=True)\ntime.sleep(1000)"
    job_ids = doomed.live(forks, SLEEPER)
    for job_id in job_ids:
        doomed.said(job_id, "up")
    supervisors = doomed.supervisors()
    os.kill(doomed.zygote, signal.SIGKILL)
    for supervisor in supervisors:
        os.kill(supervisor, signal.SIGKILL)
    doomed.die()
    assert processes_with(doomed.mark)
    await heir.open()
    adopted = await heir.adopt()
    assert processes_with(doomed.mark) == []
    ends = [await process.wait() for process in adopted]
    assert [(end.lost, end.processes_left) for end in ends] == [(run_directory.UNSUPERVISED, 0)] * 2


async def test_a_sweep_spares_the_trees_of_living_supervisors(
    doomed: Doomed, heir: SupervisedProcessRunner
) -> None:
    first, second = doomed.live(SLEEPER, SLEEPER)
    for job_id in (first, second):
        doomed.said(job_id, "up")
    victim, _ = doomed.supervisors()
    doomed.die()
    os.kill(victim, signal.SIGKILL)
    await heir.open()
    adopted = await heir.adopt()
    assert len(processes_with(doomed.mark)) == 1
    for process in adopted:
        process.stop()
    ends = {(await process.wait()).stopped for process in adopted}
    assert ends == {None, Stop.CANCEL}


async def test_a_restart_of_the_machine_is_told_as_such(
    doomed: Doomed, heir: SupervisedProcessRunner
) -> None:
    (job_id,) = doomed.live(SLEEPER)
    doomed.said(job_id, "up")
    (supervisor,) = doomed.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    doomed.die()
    record = doomed.directory / "run" / f"{job_id}-7" / "attempt.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"boot_id": "another"}))
    await heir.open()
    (process,) = await heir.adopt()
    assert (await process.wait()).lost == run_directory.RESTARTED


async def test_an_attempt_that_never_got_its_supervisor_says_so(tmp_path: Path) -> None:
    (tmp_path / "run" / f"{uuid4()}-1").mkdir(parents=True)
    runner = SupervisedProcessRunner(tmp_path / "run")
    await runner.open()
    (process,) = await runner.adopt()
    assert (await process.wait()).lost == run_directory.NEVER_STARTED
    await runner.close()


@pytest.mark.parametrize("record", ["", "{", '{"job_id": "x", "fence": 1, "exit_code": 0}', "[]"])
async def test_a_record_that_is_torn_or_of_another_attempt_is_none(tmp_path: Path, record: str) -> None:
    directory = tmp_path / "run" / f"{uuid4()}-1"
    directory.mkdir(parents=True)
    (directory / "result.json").write_text(record)
    runner = SupervisedProcessRunner(tmp_path / "run")
    await runner.open()
    (process,) = await runner.adopt()
    assert (await process.wait()).lost is not None
    await runner.close()


async def test_a_half_forgotten_attempt_is_not_adopted(tmp_path: Path) -> None:
    grave = tmp_path / "run" / f"forgotten-{uuid4()}-1"
    (grave / "result.json").parent.mkdir(parents=True)
    scratch = tmp_path / "run" / "work" / "no-attempt-1"
    scratch.mkdir(parents=True)
    runner = SupervisedProcessRunner(tmp_path / "run")
    await runner.open()
    assert await runner.adopt() == []
    assert not grave.exists()
    assert not scratch.exists()
    await runner.close()


async def test_a_second_worker_on_the_same_run_directory_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.process.runner._LOCK_SECONDS", 0.2)
    second = SupervisedProcessRunner(rig.run_directory)
    with pytest.raises(Unavailable, match="Another worker"):
        await second.open()
    await second.close()


async def test_a_zygote_ends_with_its_worker_when_nothing_runs(doomed: Doomed) -> None:
    doomed.live()
    doomed.die()
    await eventually(lambda: not is_alive(doomed.zygote))


# -- what the tests look with ----------------------------------------------------------------------------


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

"""Death of the worker, alone and with all that it started, and what its next life finds."""

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
from domain.attempt import Stop
from tests.integration.process import life
from tests.integration.process.evil import HIDDEN_CHILD, LEAVER, SLEEPER
from tests.integration.process.rig import (
    PYTHON,
    Rig,
    children_of,
    eventually,
    is_alive,
    processes_with,
    wait_until,
)

TALKER = (
    "import sys, time\nfor i in range(60):\n    print(i, flush=True)\n    time.sleep(0.02)\nsys.exit(9)\n"
)


@dataclass
class Doomed:
    """A worker process to kill, and the life that follows it."""

    directory: Path
    mark: str = field(default_factory=lambda: f"mark-{uuid4()}")
    process: subprocess.Popen[bytes] | None = None
    zygote: int = 0

    def live(self, *sources: str, left_behind: str = "kill") -> list[str]:
        """Starts these programs in a worker of its own; their job ids."""
        launches = [(str(uuid4()), [*PYTHON, source, self.mark]) for source in sources]
        command = [sys.executable, str(life.__file__), str(self.directory), json.dumps(launches), left_behind]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.zygote = int(self.process.stdout.readline())
        return [job_id for job_id, _ in launches]

    def freeze(self) -> None:
        """So that it cannot do anything about the death of others."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

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


async def test_f20_f47_the_next_life_learns_the_true_end_and_the_log_is_whole(
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


async def test_f66_a_result_outlives_the_worker_that_should_have_reported_it(
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


async def test_f36_worker_zygote_and_supervisor_killed_together(
    doomed: Doomed, heir: SupervisedProcessRunner
) -> None:
    """F36: before anything is adopted, what carries this node's tag is swept."""
    forks = "import os, time\nfor _ in range(3): os.fork()\nprint('up', flush=True)\ntime.sleep(1000)"
    job_ids = doomed.live(forks, SLEEPER)
    for job_id in job_ids:
        doomed.said(job_id, "up")
    supervisors = doomed.supervisors()
    doomed.freeze()
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


async def test_a_worker_that_comes_before_the_report_learns_the_end_and_leaves_alone_what_is_kept(
    doomed: Doomed, heir: SupervisedProcessRunner
) -> None:
    (job_id,) = doomed.live(LEAVER, left_behind="keep")
    result = doomed.directory / "run" / "1" / f"{job_id}-7" / "result.json"
    await eventually(result.exists)
    doomed.die()
    (kept,) = processes_with(doomed.mark)
    await heir.open()
    (process,) = await heir.adopt()
    assert ((await process.wait()).exit_code, (await process.wait()).left_behind) == (0, 1)
    await process.forget()
    assert is_alive(kept)
    os.kill(kept, signal.SIGKILL)
    await eventually(lambda: not is_alive(doomed.zygote))


async def test_a_restart_of_the_machine_is_told_as_such(
    doomed: Doomed, heir: SupervisedProcessRunner
) -> None:
    (job_id,) = doomed.live(SLEEPER)
    doomed.said(job_id, "up")
    (supervisor,) = doomed.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    doomed.die()
    record = doomed.directory / "run" / "1" / f"{job_id}-7" / "attempt.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"boot_id": "another"}))
    await heir.open()
    (process,) = await heir.adopt()
    assert (await process.wait()).lost == run_directory.RESTARTED


async def test_a_beginning_of_another_attempt_tells_of_a_restart_and_of_no_log(tmp_path: Path) -> None:
    """Files are written over: a machine that stops may leave what an earlier attempt wrote into them."""
    directory, log = tmp_path / "run" / "1" / f"{uuid4()}-1", tmp_path / "log"
    directory.mkdir(parents=True)
    log.write_bytes(b"of another")
    record = {"job_id": str(uuid4()), "fence": 1, "boot_id": run_directory._boot_id(), "log": str(log)}
    (directory / "attempt.json").write_text(json.dumps(record))
    runner = SupervisedProcessRunner(tmp_path / "run")
    await runner.open()
    (process,) = await runner.adopt()
    exit_ = await process.wait()
    assert (exit_.lost, exit_.log_bytes) == (run_directory.RESTARTED, 0)
    await runner.close()


async def test_an_attempt_that_never_got_its_supervisor_says_so(tmp_path: Path) -> None:
    (tmp_path / "run" / "1" / f"{uuid4()}-1").mkdir(parents=True)
    runner = SupervisedProcessRunner(tmp_path / "run")
    await runner.open()
    (process,) = await runner.adopt()
    assert (await process.wait()).lost == run_directory.NEVER_STARTED
    await runner.close()


@pytest.mark.parametrize("record", ["", "{", '{"job_id": "x", "fence": 1, "exit_code": 0}', "[]"])
async def test_a_record_that_is_torn_or_of_another_attempt_is_none(tmp_path: Path, record: str) -> None:
    directory = tmp_path / "run" / "1" / f"{uuid4()}-1"
    directory.mkdir(parents=True)
    (directory / "result.json").write_text(record)
    runner = SupervisedProcessRunner(tmp_path / "run")
    await runner.open()
    (process,) = await runner.adopt()
    assert (await process.wait()).lost is not None
    await runner.close()


async def test_a_half_forgotten_attempt_is_not_adopted(tmp_path: Path) -> None:
    grave = tmp_path / "run" / "1" / f"forgotten-{uuid4()}-1"
    (grave / "result.json").parent.mkdir(parents=True)
    scratch = tmp_path / "run" / "1" / "work" / "no-attempt-1"
    scratch.mkdir(parents=True)
    runner = SupervisedProcessRunner(tmp_path / "run")
    await runner.open()
    assert await runner.adopt() == []
    assert not grave.exists()
    assert not scratch.exists()
    await runner.close()


async def test_workers_of_one_machine_share_the_run_directory_and_leave_each_other_alone(rig: Rig) -> None:
    process = await rig.start_sleep()
    second = Rig(rig.directory, SupervisedProcessRunner(rig.directory / "run"))
    await second.runner.open()
    assert await second.runner.adopt() == []
    exit_, _ = await second.run("/bin/true")
    assert exit_.exit_code == 0
    await second.runner.close()
    process.stop()
    assert (await process.wait()).stopped is Stop.CANCEL


async def test_a_worker_adopts_what_any_dead_worker_of_its_machine_left(doomed: Doomed, rig: Rig) -> None:
    """The doomed one sits beside the living one, whose own attempts are not adopted by the third."""
    own = await rig.start_sleep()
    (job_id,) = doomed.live(TALKER)
    doomed.said(job_id, "3")
    doomed.die()
    third = SupervisedProcessRunner(rig.directory / "run")
    await third.open()
    (process,) = await third.adopt()
    assert str(process.ref.job_id) == job_id
    assert (await process.wait()).exit_code == 9
    await process.forget()
    await third.close()
    own.stop()
    assert (await own.wait()).stopped is Stop.CANCEL


async def test_a_dead_worker_is_adopted_by_one_of_twenty_rivals(doomed: Doomed) -> None:
    (job_id,) = doomed.live(SLEEPER)
    doomed.said(job_id, "up")
    doomed.die()
    rivals = [SupervisedProcessRunner(doomed.directory / "run") for _ in range(20)]
    await asyncio.gather(*(rival.open() for rival in rivals))
    (process,) = [process for rival in rivals for process in await rival.adopt()]
    process.stop()
    await process.wait()
    for rival in rivals:
        await rival.close()


async def test_a_zygote_ends_with_its_worker_when_nothing_runs(doomed: Doomed) -> None:
    doomed.live()
    doomed.die()
    await eventually(lambda: not is_alive(doomed.zygote))

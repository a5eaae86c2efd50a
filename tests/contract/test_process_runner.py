"""ProcessRunner: programs in memory, and real processes under supervisors."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.memory.process_runner import Machine, MemoryProcessRunner
from adapters.process.runner import SupervisedProcessRunner
from adapters.system.clock import SystemClock
from application.ports.process_runner import Launch, ProcessRunner
from domain.attempt import Exit, Outcome, Stop, judge
from domain.log import LogRef
from domain.policy import LeftBehind
from domain.resources import Resources

CLOCK = SystemClock()
READY = "ready"


@dataclass(frozen=True)
class World:
    """One run directory, on which one life of a worker follows the other."""

    new_life: Callable[[], ProcessRunner]
    programs: dict[str, tuple[str, ...]]
    directory: Path

    def launch(self, program: str, **changes: Any) -> Launch:
        job_id = uuid4()
        facts: dict[str, Any] = {
            "ref": LogRef(job_id=job_id, fence=1),
            "argv": self.programs[program],
            "environment": {},
            "directory": self.directory,
            "log": self.directory / f"{job_id}.log",
            "timeout_seconds": 60.0,
            "stop_grace_seconds": 0.3,
            "deadline": CLOCK.elapsed() + 60,
        }
        return Launch(**(facts | changes))


async def _succeed(_: Launch) -> int:
    return 0


async def _fail(_: Launch) -> int:
    return 3


async def _sleep(_: Launch) -> int:
    await asyncio.sleep(60)
    return 0


async def _nap(_: Launch) -> int:
    await asyncio.sleep(0.5)
    return 7


async def _ignore_sigterm(launch: Launch) -> int:
    (launch.directory / READY).touch()
    with suppress(asyncio.CancelledError):
        await _sleep(launch)
    return await _sleep(launch)


def _memory(directory: Path) -> World:
    coroutines = {
        "succeed": _succeed,
        "fail": _fail,
        "sleep": _sleep,
        "nap": _nap,
        "stubborn": _ignore_sigterm,
    }
    machine = Machine({f"/programs/{name}": program for name, program in coroutines.items()})
    programs: dict[str, tuple[str, ...]] = {name: (f"/programs/{name}",) for name in (*coroutines, "missing")}
    return World(lambda: MemoryProcessRunner(machine, CLOCK), programs, directory)


def _processes(directory: Path) -> World:
    lines = {
        "succeed": "exit 0",
        "fail": "exit 3",
        "sleep": "exec sleep 60",
        "nap": "sleep 0.5; exit 7",
        "stubborn": f"trap '' TERM; : > {READY}; while :; do sleep 1; done",
    }
    programs: dict[str, tuple[str, ...]] = {name: ("/bin/sh", "-c", line) for name, line in lines.items()}
    programs["missing"] = (str(directory / "missing"),)
    return World(lambda: SupervisedProcessRunner(directory / "run"), programs, directory)


@pytest.fixture(params=[_memory, _processes], ids=["memory", "processes"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made: World = request.param(tmp_path)
    return made


@pytest.fixture
async def runner(world: World) -> AsyncIterator[ProcessRunner]:
    runner = world.new_life()
    await runner.open()
    yield runner
    await runner.close()


async def test_a_program_that_exits_with_status_0_has_succeeded(world: World, runner: ProcessRunner) -> None:
    launch = world.launch("succeed")
    process = await runner.start(launch)
    exit_ = await process.wait()
    assert (process.ref, exit_.exit_code, exit_.stopped, exit_.processes_left) == (launch.ref, 0, None, 0)
    assert judge(exit_, 60).outcome is Outcome.SUCCEEDED
    assert exit_.usage is not None


async def test_another_status_is_told_as_it_is(world: World, runner: ProcessRunner) -> None:
    process = await runner.start(world.launch("fail"))
    assert (await process.wait()).exit_code == 3


async def test_the_end_may_be_awaited_again_and_by_many(world: World, runner: ProcessRunner) -> None:
    process = await runner.start(world.launch("nap"))
    first = await asyncio.gather(*(process.wait() for _ in range(5)))
    assert {exit_.exit_code for exit_ in (*first, await process.wait())} == {7}


async def test_a_waiter_who_gives_up_takes_the_end_from_nobody(world: World, runner: ProcessRunner) -> None:
    process = await runner.start(world.launch("nap"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.wait(), 0.01)
    assert (await process.wait()).exit_code == 7


async def test_a_missing_program_ends_at_once_and_says_why(world: World, runner: ProcessRunner) -> None:
    process = await runner.start(world.launch("missing"))
    exit_ = await process.wait()
    assert exit_.start_error is not None
    assert "does not exist" in exit_.start_error
    assert judge(exit_, 60).reason.code == "could_not_start"


async def test_a_stopped_program_gets_sigterm_first(world: World, runner: ProcessRunner) -> None:
    process = await runner.start(world.launch("sleep"))
    process.stop()
    process.stop()
    exit_ = await process.wait()
    assert (exit_.signal_number, exit_.stopped) == (signal.SIGTERM, Stop.CANCEL)
    process.stop()


async def test_a_program_that_its_worker_takes_with_it_says_so_whatever_is_asked_later(
    world: World, runner: ProcessRunner
) -> None:
    process = await runner.start(world.launch("sleep"))
    process.stop(Stop.WORKER)
    process.stop()
    exit_ = await process.wait()
    assert (exit_.signal_number, exit_.stopped) == (signal.SIGTERM, Stop.WORKER)


async def test_who_ignores_sigterm_is_killed_after_the_grace(world: World, runner: ProcessRunner) -> None:
    process = await runner.start(world.launch("stubborn"))
    await _appears(world.directory / READY)
    asked = time.monotonic()
    process.stop()
    exit_ = await process.wait()
    assert (exit_.signal_number, exit_.stopped) == (signal.SIGKILL, Stop.CANCEL)
    assert time.monotonic() - asked >= 0.25


async def test_a_program_is_stopped_after_its_timeout(world: World, runner: ProcessRunner) -> None:
    process = await runner.start(world.launch("sleep", timeout_seconds=0.2))
    exit_ = await process.wait()
    assert (exit_.signal_number, exit_.stopped) == (signal.SIGTERM, Stop.TIMEOUT)
    assert judge(exit_, 0.2).outcome is Outcome.TIMED_OUT


async def test_past_the_deadline_a_program_is_killed_without_grace(
    world: World, runner: ProcessRunner
) -> None:
    launch = world.launch("stubborn", deadline=CLOCK.elapsed() + 0.3, stop_grace_seconds=60.0)
    exit_ = await (await runner.start(launch)).wait()
    assert exit_.stopped is Stop.LEASE
    assert CLOCK.elapsed() >= launch.deadline


async def test_an_extended_deadline_lets_the_program_end_by_itself(
    world: World, runner: ProcessRunner
) -> None:
    process = await runner.start(world.launch("nap", deadline=CLOCK.elapsed() + 0.4))
    process.extend(CLOCK.elapsed() + 60)
    assert await process.wait() == _exited(await process.wait(), 7)


async def test_nothing_is_started_past_the_deadline(world: World, runner: ProcessRunner) -> None:
    exit_ = await (await runner.start(world.launch("succeed", deadline=CLOCK.elapsed() - 1))).wait()
    assert exit_.lost is not None
    assert "before the program could be started" in exit_.lost


async def test_who_leaves_nothing_behind_has_kept_nothing(world: World, runner: ProcessRunner) -> None:
    exit_ = await (await runner.start(world.launch("succeed", left_behind=LeftBehind.KEEP))).wait()
    assert (exit_.exit_code, exit_.left_behind, exit_.kept, exit_.processes_left) == (0, 0, (), 0)


async def test_the_record_names_each_limit_and_how_it_was_enforced(
    world: World, runner: ProcessRunner
) -> None:
    limited = world.launch("succeed", resources=Resources(memory_bytes=2**30, open_files=100))
    process = await runner.start(limited)
    exit_ = await process.wait()
    assert set(exit_.limits) == {"memory_bytes", "open_files"}
    assert set(exit_.limits.values()) <= {"cgroup_v2", "cgroup_v1", "polled", "rlimit", "none"}


async def test_the_next_life_adopts_what_runs_and_what_ended(world: World) -> None:
    first = world.new_life()
    await first.open()
    running = await first.start(world.launch("nap"))
    ended = await first.start(world.launch("fail"))
    forgotten = await first.start(world.launch("succeed"))
    await ended.wait()
    await forgotten.wait()
    await forgotten.forget()
    await first.close()

    second = world.new_life()
    await second.open()
    adopted = {process.ref: process for process in await second.adopt()}
    assert set(adopted) == {running.ref, ended.ref}
    assert (await adopted[running.ref].wait()).exit_code == 7
    assert (await adopted[ended.ref].wait()).exit_code == 3
    assert await second.adopt() == []
    for process in adopted.values():
        await process.forget()
    await second.close()


async def test_an_adopted_program_can_be_stopped(world: World) -> None:
    first = world.new_life()
    await first.open()
    await first.start(world.launch("sleep"))
    await first.close()
    second = world.new_life()
    await second.open()
    (process,) = await second.adopt()
    process.stop()
    assert (await process.wait()).stopped is Stop.CANCEL
    await process.forget()
    await second.close()


async def test_a_life_does_not_adopt_its_own(world: World, runner: ProcessRunner) -> None:
    process = await runner.start(world.launch("fail"))
    assert await runner.adopt() == []
    assert (await process.wait()).exit_code == 3


async def test_opening_and_closing_may_be_repeated(world: World) -> None:
    runner = world.new_life()
    await runner.open()
    await runner.open()
    process = await runner.start(world.launch("succeed"))
    assert (await process.wait()).exit_code == 0
    await runner.close()
    await runner.close()


async def test_twenty_at_once_each_get_their_own_end(world: World, runner: ProcessRunner) -> None:
    names = ["succeed", "fail"] * 10
    processes = await asyncio.gather(*(runner.start(world.launch(name)) for name in names))
    ends = await asyncio.gather(*(process.wait() for process in processes))
    assert [exit_.exit_code for exit_ in ends] == [0, 3] * 10


async def _appears(file: Path) -> None:
    is_there = file.exists
    async with asyncio.timeout(30):
        while not is_there():  # noqa: ASYNC110 - a file wakes nobody
            await asyncio.sleep(0.01)


def _exited(exit_: Exit, code: int) -> Exit:
    assert (exit_.exit_code, exit_.stopped) == (code, None)
    return exit_

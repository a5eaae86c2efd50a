"""How programs end, and how they are made to."""

import asyncio
import json
import signal
import time

import pytest

from domain.attempt import Stop
from tests.integration.process.rig import CLOCK, Rig, eventually, processes_with


@pytest.mark.parametrize("status", [0, 1, 3, 125, 127, 137, 255])
async def test_f51_every_exit_status_is_told_as_it_is(rig: Rig, status: int) -> None:
    """F51: 137 is a status and no SIGKILL, 127 a status and no missing program."""
    exit_, _ = await rig.run_sh(f"exit {status}")
    assert (exit_.exit_code, exit_.signal_number, exit_.start_error) == (status, None, None)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT", "SIGUSR1"])
async def test_f51_a_signal_is_told_as_a_signal(rig: Rig, name: str) -> None:
    """F51."""
    exit_, _ = await rig.run_sh(f"kill -{name[3:]} $$")
    assert (exit_.signal_number, exit_.exit_code, exit_.stopped) == (signal.Signals[name], None, None)


async def test_f33_who_ignores_sigterm_gets_it_and_is_killed_after_the_grace(rig: Rig) -> None:
    """F33."""
    process = await rig.start_python(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1)"
    )
    await rig.says(process, b"up")
    asked = time.monotonic()
    process.stop()
    exit_ = await process.wait()
    assert 0.3 <= time.monotonic() - asked < 10
    assert (exit_.signal_number, exit_.stopped) == (signal.SIGKILL, Stop.CANCEL)
    assert rig.log(process) == b"up\nno\n"


async def test_a_program_may_use_its_grace_to_end_in_order(rig: Rig) -> None:
    process = await rig.start_python(
        "import signal, sys, time\n"
        "def leave(*_): print('bye', flush=True); sys.exit(4)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1)",
        stop_grace_seconds=20,
    )
    await rig.says(process, b"up")
    process.stop()
    exit_ = await process.wait()
    assert (exit_.exit_code, exit_.stopped, exit_.left_behind) == (4, Stop.CANCEL, 0)
    assert rig.log(process) == b"up\nbye\n"


async def test_sigterm_goes_to_the_whole_tree_and_the_grace_is_for_all_of_it(rig: Rig) -> None:
    """A child that cleans up longer than its parent lives, and longer than the linger, is let finish."""
    process = await rig.start_python(
        "import os, signal, sys, time\n"
        "def leave(*_): time.sleep(1.5); print('child done', flush=True); os._exit(0)\n"
        "if os.fork() == 0:\n"
        "    signal.signal(signal.SIGTERM, leave); print('up', flush=True)\n"
        "while True: time.sleep(1)",
        stop_grace_seconds=30,
    )
    await rig.says(process, b"up")
    process.stop()
    exit_ = await process.wait()
    assert (exit_.signal_number, exit_.left_behind) == (signal.SIGTERM, 0)
    assert rig.log(process).endswith(b"child done\n")


async def test_f37_a_program_that_stopped_itself_is_ended_by_its_timeout(rig: Rig) -> None:
    """F37: a process in SIGSTOP gets SIGTERM, is continued to take it, and ends."""
    exit_, _ = await rig.run_sh("kill -STOP $$", timeout_seconds=0.3)
    assert (exit_.stopped, exit_.signal_number) == (Stop.TIMEOUT, signal.SIGTERM)


async def test_the_deadline_needs_no_worker(rig: Rig) -> None:
    """The timer is in the supervisor: the tree dies although the worker lets go of it."""
    process = await rig.start_python(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)",
        deadline=CLOCK.elapsed() + 0.7,
    )
    await eventually(rig.survivors)
    result = rig.attempt_directory(process) / "result.json"
    await rig.runner.close()
    await eventually(result.exists)
    assert rig.survivors() == []
    record = json.loads(result.read_text())
    assert (record["stopped"], record["processes_left"]) == ("lease", 0)


async def test_the_deadline_cuts_the_grace_short(rig: Rig) -> None:
    process = await rig.start_python(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\n"
        "time.sleep(60)",
        stop_grace_seconds=60,
    )
    await rig.says(process, b"up")
    process.stop()
    process.extend(CLOCK.elapsed() + 0.3)
    exit_ = await process.wait()
    assert (exit_.stopped, exit_.signal_number) == (Stop.CANCEL, signal.SIGKILL)


async def test_who_ended_before_a_stop_reached_it_was_not_stopped(rig: Rig) -> None:
    """A cancel during the linger ends the linger, and does not turn a success into a cancellation."""
    process = await rig.start_python(
        "import os, time\n"
        "parent = os.getpid()\n"
        "if os.fork() == 0:\n"
        "    while os.getppid() == parent: time.sleep(0.001)\n"
        "    print('alone', flush=True); time.sleep(60)"
    )
    await rig.says(process, b"alone")
    process.stop()
    exit_ = await process.wait()
    assert (exit_.exit_code, exit_.stopped, exit_.left_behind) == (0, None, 1)


async def test_f38_two_hundred_are_cancelled_at_once(rig: Rig) -> None:
    """F38."""
    processes = await asyncio.gather(*(rig.start_sleep() for _ in range(200)))
    for process in processes:
        process.stop()
    ends = await asyncio.gather(*(process.wait() for process in processes))
    assert {(end.stopped, end.processes_left) for end in ends} == {(Stop.CANCEL, 0)}
    assert processes_with(rig.mark) == []


async def test_usage_counts_the_whole_tree(rig: Rig) -> None:
    """Of a child that is waited for, one that is not, and a daemon: CPU of all, memory of the largest."""
    exit_, _ = await rig.run_python(
        "import os, time\n"
        "def burn(mb):\n"
        "    held = bytearray(mb << 20)\n"
        "    until = time.process_time() + 0.2\n"
        "    while time.process_time() < until: pass\n"
        "    os._exit(0)\n"
        "child = os.fork() or burn(1)\n"
        "os.waitpid(child, 0)\n"
        "os.fork() or burn(80)\n"
        "os.fork() or (os.setsid(), os.fork() and os._exit(0), burn(1))\n"
        "time.sleep(0.9)"
    )
    assert exit_.exit_code == 0
    assert exit_.usage is not None
    assert exit_.usage.cpu_seconds >= 0.6
    assert 80 << 20 <= exit_.usage.max_rss_bytes < 400 << 20
    assert exit_.usage.wall_seconds >= 0.9


async def test_a_small_program_is_not_charged_with_the_memory_of_its_parent(rig: Rig) -> None:
    """A child's ru_maxrss begins with that of the process that forked it: seen at 622 MB for /bin/true."""
    exit_, _ = await rig.run("/bin/true")
    assert exit_.usage is not None
    assert exit_.usage.max_rss_bytes < 32 << 20

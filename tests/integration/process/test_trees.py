"""Nothing left behind, whatever the program forks. Each of these escapes some well-known runner."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.process.supervisor import tree
from adapters.process.supervisor.group import write
from domain.attempt import Stop
from tests.integration.process.rig import (
    CONTAINMENTS,
    PYTHON,
    WAYS,
    Rig,
    a_rig,
    eventually,
    looks_into_the_zygote,
    wait_until,
)

SLEEP = "while True: time.sleep(1)\n"
DAEMON = (
    "import os, signal, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork(): os._exit(0)\n"
    "    for name in ('SIGTERM', 'SIGHUP', 'SIGINT'): signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
    "    os.closerange(0, 64); os.open('/dev/null', os.O_RDWR); os.chdir('/')\n"
    "    sleep = [sys.executable, '-I', '-S', '-c', 'import time; time.sleep(1000)', MARK]\n"
    "    os.execve(sys.executable, sleep, {})\n"
)
CHAIN = (
    "import os, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "for _ in range(20000):\n"
    "    if os.fork(): os._exit(0)\n"
    "    os.setsid()\n"
    "time.sleep(1000)\n"
)
BOMB = (
    "import os, signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\n"
    "for _ in range(8): os.fork()\n"  # 256 processes, each of which goes on to make more
    "for _ in range(3):\n"
    "    time.sleep(0.05)\n"
    "    if os.fork() == 0: os.setsid()\n"
    "time.sleep(1000)\n"
)
EVIL = {
    "own session (F30)": "import os, time\nif os.fork() == 0: os.setsid()\nprint('up', flush=True)\n" + SLEEP,
    "daemon without environment (F31)": DAEMON + "print('up', flush=True)\n" + SLEEP,
    "fork bomb (F32)": BOMB,
    "fork bomb in the middle (F32)": BOMB.replace("for _ in range(3)", "os.fork()\nfor _ in range(3)"),
    "chain beside a main process (F32)": (
        "import os, time\nif os.fork() == 0:\n    "
        + CHAIN.replace("\n", "\n    ")
        + "\nprint('up', flush=True)\n"
        + SLEEP
    ),
    "stopped child": (
        "import os, signal, time\n"
        "if os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)\nprint('up', flush=True)\n" + SLEEP
    ),
    "children that nobody reaps": (
        "import os, time\n"
        "for _ in range(50):\n    if os.fork() == 0: os._exit(0)\nprint('up', flush=True)\n" + SLEEP
    ),
    "vfork by the shell, in background": "import os\nos.execv('/bin/sh', ['sh', '-c', "
    "'trap \"\" TERM; sleep 1000 & (setsid sleep 1000 &) ; echo up; sleep 1000', MARK])\n",
}


@pytest.fixture(params=CONTAINMENTS)
async def held_by(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Rig, str]]:
    async with a_rig(tmp_path, request.param) as rig:
        yield rig, request.param


@pytest.mark.parametrize("name", EVIL)
async def test_f30_f31_f32_a_cancel_leaves_nothing_of_an_evil_tree(
    held_by: tuple[Rig, str], name: str
) -> None:
    """F30, F31, F32: proven by the command line, which neither setsid nor an empty environment hides."""
    rig, containment = held_by
    process = await rig.start_python(EVIL[name].replace("MARK", repr(rig.mark)), stop_grace_seconds=0.1)
    await rig.says(process, b"up")
    process.stop()
    exit_ = await process.wait()
    assert rig.survivors() == []
    assert (exit_.stopped, exit_.processes_left, exit_.containment) == (Stop.CANCEL, 0, containment)


async def test_f32_a_fork_chain_is_caught_while_it_runs(rig: Rig) -> None:
    """F32: its main process has gone at once; no scan sees the whole chain, the kernel's ECHILD does."""
    exit_, _ = await rig.run_python(CHAIN)
    assert rig.survivors() == []
    assert (exit_.exit_code, exit_.processes_left) == (0, 0)


async def test_f31_a_daemon_is_stopped_after_the_linger_and_counted(rig: Rig) -> None:
    """F31, F40 without a pipe: the main process succeeded, what it left is told."""
    source = DAEMON.replace("MARK", repr(rig.mark)) + "os.wait()\n"
    begun = time.monotonic()
    exit_, _ = await rig.run_python(source)
    assert (exit_.exit_code, exit_.left_behind, exit_.processes_left) == (0, 1, 0)
    assert rig.survivors() == []
    assert time.monotonic() - begun >= 1.0


async def test_a_child_that_ends_within_the_linger_is_not_counted(rig: Rig) -> None:
    exit_, log = await rig.run_sh("(sleep 0.2; echo late) & echo early")
    assert (exit_.exit_code, exit_.left_behind) == (0, 0)
    assert log == b"early\nlate\n"


async def test_f40_a_grandchild_that_holds_the_pipe_hangs_nobody(rig: Rig) -> None:
    """F40: asyncio's and subprocess's wait hang here until the grandchild ends."""
    begun = time.monotonic()
    exit_, log = await rig.run_sh("echo out; setsid sleep 1000 & exit 5")
    assert (exit_.exit_code, exit_.left_behind, log) == (5, 1, b"out\n")
    assert time.monotonic() - begun < 20


async def test_f52_a_child_killed_is_not_the_end_of_its_parent(rig: Rig) -> None:
    """F52, as far as one can without a memory limit: SIGKILL to a child, main goes on to exit 0."""
    exit_, _ = await rig.run_sh("sh -c 'kill -KILL $$'; exit 0")
    assert (exit_.exit_code, exit_.signal_number) == (0, None)


async def test_f52_programs_are_the_first_to_go_when_memory_is_short(rig: Rig) -> None:
    """F52: the kernel takes the highest score; worker, zygote and supervisor keep theirs."""
    for way in WAYS:
        rig.way = way
        supervisor = "until [ $(cat /proc/$PPID/oom_score_adj) = 0 ]; do sleep 0.01; done"
        exit_, log = await rig.run_sh(f"{supervisor}; cat /proc/self/oom_score_adj")
        assert (exit_.exit_code, log) == (0, b"500\n")


@looks_into_the_zygote
async def test_a_program_is_never_safer_than_what_started_it(rig: Rig) -> None:
    """In a pod of Kubernetes all have a higher score, and only root may lower it."""
    write(f"/proc/{rig.zygote}/oom_score_adj", "700")
    assert (await rig.run_sh("cat /proc/self/oom_score_adj"))[1] == b"700\n"


async def test_a_kill_reaches_no_process_of_another_attempt(rig: Rig) -> None:
    first = await rig.start_sleep()
    second = await rig.start_sleep()
    await eventually(lambda: len(rig.survivors()) == 2)
    first.stop()
    await first.wait()
    assert len(rig.survivors()) == 1
    second.stop()
    assert (await second.wait()).signal_number == signal.SIGTERM


async def test_ten_evil_trees_at_once_leave_nothing(rig: Rig) -> None:
    source = DAEMON.replace("MARK", repr(rig.mark)) + "print('up', flush=True)\n" + SLEEP
    processes = [await rig.start(*PYTHON, source, rig.mark) for _ in range(10)]
    for process in processes:
        await rig.says(process, b"up")
        process.stop()
    ends = await asyncio.gather(*(process.wait() for process in processes))
    assert {end.processes_left for end in ends} == {0}
    assert rig.survivors() == []


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="there is no /bin/ps")
def test_the_walk_of_systems_without_proc_finds_a_tree_and_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: by ps(1) and kill(2), without a pidfd or a start time."""
    monkeypatch.setattr(tree, "LINUX", False)
    with subprocess.Popen(("/bin/sh", "-c", "sleep 1000 & wait")) as shell:
        wait_until(lambda: len(tree.below(shell.pid, tree.snapshot())) == 1)
        (child,) = tree.below(shell.pid, tree.snapshot())
        assert shell.pid in [pid for pid, _ in tree.below(os.getpid(), tree.snapshot())]
        assert tree.send(child, signal.SIGKILL)
        assert shell.wait(30) == 0
    assert not tree.send((shell.pid, 0), signal.SIGKILL)


OUTRUN = """
import os, sys
sys.path.insert(0, sys.argv[1])
from adapters.process.supervisor import kernel
from adapters.process.supervisor.descendants import Descendants
kernel.become_subreaper()
tree = Descendants()
tree.alive = list
shell = ["sh", "-c", "sleep 1000 & sleep 1000 & wait"]
tree.main = os.posix_spawn("/bin/sh", shell, {}, setsid=True)
tree.kill(5)
print(tree.empty)
"""


def test_f32_a_tree_that_grows_faster_than_it_is_walked_is_killed_at_one_stroke() -> None:
    """F32: on a busy machine a walk finds the children of yesterday; here it finds none at all."""
    source = Path(tree.__file__).parents[3]
    argv = [sys.executable, "-I", "-S", "-c", OUTRUN, str(source)]
    assert subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout == b"True\n"

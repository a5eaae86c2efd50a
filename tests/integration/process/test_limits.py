"""What a tree may take, and how the record says it was enforced."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from domain.attempt import Stop, judge
from domain.resources import Resources
from tests.integration.process.rig import Rig, a_rig

MIB = 2**20
EATER = "import time\nkept = bytearray(b'x') * ({mib} * 2**20)\nprint('fed', flush=True)\ntime.sleep(1000)\n"
MEMORY_GROUP = Path("/sys/fs/cgroup/memory")


@pytest.fixture(params=["kernel", "polled"])
async def limited(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Rig, str]]:
    """By whom memory is limited, as the record is to say it."""
    async with a_rig(tmp_path, None if request.param == "kernel" else "subreaper") as rig:
        keeper = await _keeper(rig)
        if request.param == "kernel" and not keeper.startswith("cgroup"):
            pytest.skip("no memory control group may be used here")
        yield rig, keeper


async def _keeper(rig: Rig) -> str:
    exit_, _ = await rig.run("/bin/true", resources=Resources(memory_bytes=100 * MIB))
    return exit_.limits["memory_bytes"]


async def test_a_program_that_eats_memory_is_killed_as_out_of_memory(limited: tuple[Rig, str]) -> None:
    rig, keeper = limited
    resources = Resources(memory_bytes=100 * MIB)
    exit_, _ = await rig.run_python(EATER.format(mib=200), resources=resources)
    reason = judge(exit_, 60, resources).reason
    assert (exit_.stopped, exit_.signal_number, exit_.processes_left) == (Stop.MEMORY, signal.SIGKILL, 0)
    assert exit_.limits == {"memory_bytes": keeper}
    assert (reason.code, str(100 * MIB) in reason.message) == ("out_of_memory", True)


async def test_what_the_kernel_limits_takes_no_more_and_its_group_goes_with_the_attempt(rig: Rig) -> None:
    """Ten times its limit at once, in a child: faster than any look at it."""
    if not (await _keeper(rig)).startswith("cgroup"):
        pytest.skip("no memory control group may be used here")
    source = (
        "import os\nif os.fork() == 0:\n    " + EATER.format(mib=500).replace("\n", "\n    ") + "\nos.wait()"
    )
    exit_, log = await rig.run_python(source, resources=Resources(memory_bytes=50 * MIB))
    assert (exit_.stopped, exit_.processes_left, log) == (Stop.MEMORY, 0, b"")
    assert exit_.oom_kills > 0
    assert exit_.usage is not None
    assert exit_.usage.max_rss_bytes <= 70 * MIB  # with the pages of libraries, which others have paid for
    assert rig.runner._means.memory is not None
    assert [path for path in rig.runner._means.memory.iterdir() if path.is_dir()] == []


async def test_files_that_are_read_are_not_taken_for_memory(limited: tuple[Rig, str]) -> None:
    """The kernel counts them, and gives them back before it kills."""
    rig, keeper = limited
    big = rig.directory / "big"
    with big.open("wb") as file:
        file.truncate(200 * MIB)
    exit_, _ = await rig.run_sh(f"cat {big} > /dev/null", resources=Resources(memory_bytes=40 * MIB))
    assert (exit_.exit_code, exit_.stopped) == (0, None)
    # Where nobody but the kernel counts, it counts for the whole machine: also what other tests bring about.
    assert not exit_.oom_kills or keeper == "polled"


async def test_f52_a_child_killed_for_memory_is_told_although_its_parent_exits_with_0(rig: Rig) -> None:
    """F52: by the limit of somebody else, as a container's. The worker and its other programs live."""
    with _foreign_memory_group() as group:
        eater = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n" + EATER.format(mib=200)
        source = "import os\nif os.fork() == 0:\n    " + eater.replace("\n", "\n    ") + "\nos.wait()"
        exit_, _ = await rig.run_python(source)
    assert (exit_.exit_code, exit_.stopped, exit_.oom_kill) == (0, None, False)
    assert exit_.oom_kills >= 1
    assert (await rig.run("/bin/true"))[0].exit_code == 0


async def test_memory_is_that_of_all_processes_together(limited: tuple[Rig, str]) -> None:
    """Each of the four alone stays below the limit."""
    rig, _ = limited
    source = "import os\nfor _ in range(2): os.fork()\n" + EATER.format(mib=40)
    exit_, _ = await rig.run_python(source, resources=Resources(memory_bytes=120 * MIB))
    assert exit_.stopped is Stop.MEMORY


async def test_pages_that_processes_share_count_once(limited: tuple[Rig, str]) -> None:
    """Resident memory of the five is 300 MiB, and 60 MiB are in use."""
    rig, _ = limited
    source = (
        (
            "import os, time\nkept = bytearray(b'x') * (60 * 2**20)\n"
            "children = [os.fork() for _ in range(4) if os.getpid() == MAIN]\n"
            "time.sleep(0.8)\n"
        )
        .replace("MAIN", "main")
        .replace("import os, time\n", "import os, time\nmain = os.getpid()\n")
    )
    exit_, _ = await rig.run_python(source, resources=Resources(memory_bytes=150 * MIB))
    assert (exit_.exit_code, exit_.stopped) == (0, None)


async def test_processor_time_of_all_processes_together_is_limited(rig: Rig) -> None:
    source = "import os\nos.fork()\nwhile True: pass"
    exit_, _ = await rig.run_python(source, resources=Resources(cpu_seconds=0.5))
    assert (exit_.stopped, exit_.signal_number) == (Stop.CPU, signal.SIGTERM)
    assert exit_.limits == {"cpu_seconds": "polled+rlimit"}
    assert exit_.usage is not None
    assert exit_.usage.cpu_seconds > 0.5
    assert judge(exit_, 60, Resources(cpu_seconds=0.5)).reason.code == "cpu_limit"


async def test_the_kernels_own_limit_of_processor_time_is_told_as_such(rig: Rig) -> None:
    """As when the supervisor was starved and could not poll."""
    exit_, _ = await rig.run_sh("kill -XCPU $$", resources=Resources(cpu_seconds=60))
    assert (exit_.stopped, exit_.signal_number) == (Stop.CPU, signal.SIGXCPU)


async def test_f32_a_fork_bomb_ends_at_the_limit_of_processes(rig: Rig) -> None:
    # Of 4096 at most: should it ever win, the machine that runs the tests survives it.
    source = "import os, time\nfor _ in range(12):\n    os.fork()\n    time.sleep(0.05)\ntime.sleep(1000)"
    exit_, _ = await rig.run_python(source, resources=Resources(processes=20))
    assert (exit_.stopped, exit_.processes_left) == (Stop.PROCESSES, 0)
    assert judge(exit_, 60, Resources(processes=20)).reason.code == "process_limit"


async def test_open_files_are_limited(rig: Rig) -> None:
    source = (
        "import os, resource\nprint(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        "try:\n    while True: os.dup(0)\nexcept OSError as error: print(error.errno)"
    )
    exit_, log = await rig.run_python(source, resources=Resources(open_files=40))
    assert log.decode().splitlines() == ["(40, 40)", "24"]
    assert exit_.limits == {"open_files": "rlimit"}


async def test_who_stays_within_its_limits_notices_nothing(rig: Rig) -> None:
    generous = Resources(memory_bytes=2**30, cpu_seconds=60, open_files=100, processes=10)
    exit_, _ = await rig.run_python("import time; time.sleep(0.4)", resources=generous)
    assert (exit_.exit_code, exit_.stopped) == (0, None)
    assert set(exit_.limits) == {"memory_bytes", "cpu_seconds", "open_files", "processes"}


async def test_without_limits_the_record_names_none(rig: Rig) -> None:
    exit_, _ = await rig.run("/bin/true")
    assert exit_.limits == {}


async def test_f52_the_kernels_out_of_memory_killer_is_told_apart_from_any_sigkill(rig: Rig) -> None:
    with _foreign_memory_group() as group:
        source = f"import os\nopen({str(group / 'cgroup.procs')!r}, 'w').write('0')\n" + EATER.format(mib=200)
        exit_, _ = await rig.run_python(source)
    assert (exit_.signal_number, exit_.stopped, exit_.oom_kill) == (signal.SIGKILL, None, True)


async def test_limits_hold_for_many_at_once(limited: tuple[Rig, str]) -> None:
    rig, _ = limited
    tight = Resources(memory_bytes=30 * MIB)
    ends = await asyncio.gather(
        *(rig.run_python(EATER.format(mib=60), resources=tight) for _ in range(5)),
        *(rig.run_python("pass", resources=tight) for _ in range(5)),
    )
    assert [exit_.stopped for exit_, _ in ends] == [Stop.MEMORY] * 5 + [None] * 5


@contextmanager
def _foreign_memory_group() -> Iterator[Path]:
    """One of 32 MiB that is none of ours."""
    own = next((line.split(":", 2)[2] for line in _groups() if ":memory:" in line), None)
    group = MEMORY_GROUP / (own or "").lstrip("/") / f"etl-test-{os.getpid()}"
    if own is None or not os.access(group.parent, os.W_OK):
        pytest.skip("no memory control group of version 1 may be made here")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(32 * MIB))
        yield group
    finally:
        group.rmdir()


def _groups() -> list[str]:
    return Path("/proc/self/cgroup").read_text().splitlines()

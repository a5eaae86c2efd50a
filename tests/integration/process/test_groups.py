"""Control groups: they find what has lost worker, zygote, supervisor, parents and environment."""

import os
import signal
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.process import means, run_directory
from adapters.process.runner import SupervisedProcessRunner
from adapters.process.supervisor.group import V1, V2, Group
from tests.integration.process.evil import HIDDEN_CHILD
from tests.integration.process.rig import (
    CONTAINMENTS,
    Rig,
    a_rig,
    children_of,
    eventually,
    groups_of,
    processes_with,
    supervisor_of,
)
from tests.integration.process.test_trees import DAEMON

NO_GROUPS = "no control group may be made here"


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_the_record_says_what_held_the_tree(tmp_path: Path, containment: str) -> None:
    async with a_rig(tmp_path, containment) as rig:
        exit_, _ = await rig.run("/bin/true")
        assert exit_.containment == containment


async def test_a_program_and_its_children_are_in_a_group_that_goes_with_the_attempt(rig: Rig) -> None:
    if rig.runner._means.groups is None:
        pytest.skip(NO_GROUPS)
    process = await rig.start_python(HIDDEN_CHILD)
    await rig.says(process, b"up")
    await eventually(lambda: len(rig.survivors()) == 2)
    main, child = sorted(rig.survivors())
    (group,) = groups_of(rig, main)
    assert groups_of(rig, child) == [group]
    assert set(Group(str(group)).processes()) <= {main, child, supervisor_of(main)}
    process.stop()
    assert (await process.wait()).processes_left == 0
    assert not {main, child} & set(Group(str(group)).processes())


async def test_supervisors_that_had_nothing_to_kill_keep_their_groups_and_leave_none(tmp_path: Path) -> None:
    async with a_rig(tmp_path, V2) as rig:
        groups = rig.runner._means.groups
        assert groups is not None
        for _ in range(3):
            process = await rig.start("/bin/true")
            assert (await process.wait()).exit_code == 0
            await process.forget()
        (group,) = [path for path in groups.iterdir() if path.is_dir()]
        (supervisor,) = Group(str(group)).processes()
        assert children_of(rig.zygote) == [supervisor]
    await eventually(lambda: not groups.exists())


async def test_a_group_that_a_program_made_below_its_own_goes_with_the_attempt(tmp_path: Path) -> None:
    async with a_rig(tmp_path, V2) as rig:
        own = f"own=$(sed -n 's/^0:://p' /proc/self/cgroup); own={rig.runner._means.groups}/${{own##*/}}"
        exit_, log = await rig.run_sh(f"{own}; mkdir $own/below && echo $own")
        assert (exit_.exit_code, exit_.processes_left) == (0, 0)
        await eventually(lambda: not Path(log.decode().strip()).exists())
        assert (await rig.run("/bin/true"))[0].containment == V2


@pytest.mark.parametrize("kind", [V2, V1])
async def test_f36_a_scrubbed_daemon_is_found_after_worker_zygote_and_supervisor_died_together(
    tmp_path: Path, kind: str
) -> None:
    """F36 for the one that the tag in the environment misses: no parent, no variable, no descriptor."""
    async with a_rig(tmp_path, kind) as rig:
        process = await rig.start_python(
            DAEMON.replace("MARK", repr(rig.mark)) + "print('up', flush=True)\nwhile True: time.sleep(1)"
        )
        await rig.says(process, b"up")
        await eventually(lambda: len(rig.survivors()) == 2)
        main = next(pid for pid in rig.survivors() if _environment(pid))
        for pid in (rig.zygote, supervisor_of(main)):
            os.kill(pid, signal.SIGSTOP)  # so that neither can do anything about the other's death
        for pid in (supervisor_of(main), rig.zygote):
            os.kill(pid, signal.SIGKILL)
        process.let_go()  # this worker learns nothing of it, as if it had died too
        await rig.runner.close()
        await eventually(lambda: len(rig.survivors()) == 1)
        heir = SupervisedProcessRunner(tmp_path / "run", groups=())
        await heir.open()
        (found,) = await heir.adopt()
        assert processes_with(rig.mark) == []
        exit_ = await found.wait()
        assert (exit_.lost, exit_.processes_left) == (run_directory.UNSUPERVISED, 0)
        await found.forget()
        await heir.close()


@pytest.mark.parametrize("kind", [V2, V1])
def test_a_group_kills_what_forks_and_is_removed(tmp_path: Path, kind: str) -> None:
    groups = means.means_of(tmp_path, None, (kind,)).groups
    if groups is None:
        pytest.skip(NO_GROUPS)
    group, mark = Group(str(groups / "attempt")), f"mark-{uuid4()}"
    assert group.make() == kind
    line = "read go; while :; do sh -c 'sleep 1000; : ' $0 & sleep 0.01; done"
    with subprocess.Popen(("/bin/sh", "-c", line, mark), stdin=subprocess.PIPE, start_new_session=True) as sh:
        assert sh.stdin is not None
        group.join(sh.pid)
        sh.stdin.write(b"\n")
        sh.stdin.flush()
        while len(group.processes()) < 6:
            assert sh.poll() is None
        assert group.clear() == 0
    assert sh.returncode == -signal.SIGKILL
    assert processes_with(mark) == []
    assert not Path(group.path).exists()
    groups.rmdir()


async def test_where_no_group_can_be_made_for_an_attempt_the_record_does_not_pretend(rig: Rig) -> None:
    if rig.runner._means.groups is None:
        pytest.skip(NO_GROUPS)
    rig.runner._means = means.Means(groups=Path("/proc/no-such-place"))
    exit_, _ = await rig.run("/bin/true")
    assert (exit_.exit_code, exit_.containment) == (0, "subreaper")


def test_a_hierarchy_that_cannot_be_written_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        means, "_own_groups", lambda *_: iter([(V2, tmp_path / "nowhere"), (V1, Path("/proc"))])
    )
    found = means.means_of(tmp_path, None)
    assert (found.groups, found.memory) == (None, None)


def _environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()

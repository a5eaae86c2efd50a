"""process.user: programs as somebody who can reach neither the worker's files nor other attempts."""

import os
import pwd
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from adapters.process.runner import SupervisedProcessRunner
from adapters.process.supervisor import scratch
from domain.attempt import Stop
from domain.errors import WrongSetting
from tests.integration.process.evil import HIDDEN_CHILD
from tests.integration.process.rig import Rig, a_rig

USER = "nobody"
PYTHON = ("/usr/bin/env", "python3", "-I", "-S", "-c")  # one that others can reach
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run programs as another user")


@pytest.fixture
async def theirs() -> AsyncIterator[Rig]:
    """In a place that the other user can enter, which pytest's own directories are not."""
    with TemporaryDirectory(prefix="etl-user-", dir="/tmp") as directory:
        os.chmod(directory, 0o711)  # noqa: PTH101, S103 - async; others must pass
        async with a_rig(Path(directory), user=USER) as rig:
            yield rig


@as_root
async def test_a_program_is_that_user_with_its_groups_and_no_other(theirs: Rig) -> None:
    _, log = await theirs.run(
        *PYTHON, "import os\nprint(os.getresuid(), os.getresgid(), sorted(os.getgroups()))"
    )
    account = pwd.getpwnam(USER)
    groups = sorted(os.getgrouplist(USER, account.pw_gid))
    ids = (account.pw_uid,) * 3, (account.pw_gid,) * 3
    assert log.decode().strip() == f"{ids[0]} {ids[1]} {groups}"


@as_root
async def test_it_owns_its_scratch_and_its_output_and_reaches_nothing_else(theirs: Rig) -> None:
    process = await theirs.start(
        *PYTHON,
        "import os\n"
        "os.chdir(os.environ['ETL_WORK_DIR']); open('mine', 'w').close(); os.mkdir('d'); os.chmod('d', 0)\n"
        "open('/dev/stdout', 'w').write('said\\n')\n"
        "def tried(path):\n"
        "    try: os.listdir(path) if os.path.isdir(path) else open(path).close()\n"
        "    except OSError as error: return error.strerror\n"
        "    return 'reached'\n"
        f"for path in ({str(theirs.directory / 'secret')!r}, {str(theirs.run_directory)!r},\n"
        f"  {str(theirs.run_directory)!r} + '/' + os.path.basename(os.getcwd()) + '/attempt.json',\n"
        "             f'/proc/{os.getppid()}/environ'): print(tried(path))",
    )
    (theirs.directory / "secret").touch(mode=0o600)
    assert (await process.wait()).exit_code == 0
    assert theirs.log(process).decode().splitlines() == ["said"] + ["Permission denied"] * 4
    assert not theirs.scratch(process).exists()


@as_root
async def test_its_tree_is_stopped_like_any_other(theirs: Rig) -> None:
    process = await theirs.start(*PYTHON, HIDDEN_CHILD, theirs.mark)
    await theirs.says(process, b"up")
    process.stop()
    exit_ = await process.wait()
    assert (exit_.stopped, exit_.processes_left) == (Stop.CANCEL, 0)


@as_root
async def test_it_dies_with_its_supervisor(theirs: Rig) -> None:
    """setuid(2) clears the signal of the parent's death, so it is asked for again."""
    process = await theirs.start("/bin/sh", "-c", "echo $PPID; sleep 1000", theirs.mark)
    supervisor = int(await theirs.says(process, b"\n"))
    os.kill(supervisor, 9)
    assert (await process.wait()).lost is not None
    assert theirs.survivors() == []


@as_root
async def test_home_is_the_users_where_ours_would_have_been_passed(theirs: Rig) -> None:
    ours, own = os.environ.get("HOME", "/root"), "/elsewhere"
    _, log = await theirs.run_sh("echo $HOME", environment={"HOME": ours})
    assert log.decode().strip() == pwd.getpwnam(USER).pw_dir
    _, log = await theirs.run_sh("echo $HOME", environment={"HOME": own})
    assert log.decode().strip() == own


@as_root
def test_a_scratch_is_removed_with_the_rights_of_its_owner(tmp_path: Path) -> None:
    """Else a link that is put in the way at the right moment lets root change what it points to."""
    top = tmp_path / "scratch"
    account = pwd.getpwnam(USER)
    scratch.make(str(top), {"uid": account.pw_uid, "gid": account.pw_gid, "groups": []})
    (top / "of root").mkdir(mode=0o700)
    (top / "of root" / "file").touch()
    scratch.remove(str(top))
    assert (top / "of root" / "file").exists()
    (tmp_path / "ours").mkdir()  # this thread is root again
    assert (tmp_path / "ours").stat().st_uid == 0


@as_root
async def test_an_unknown_user_stops_the_start(tmp_path: Path) -> None:
    runner = SupervisedProcessRunner(tmp_path / "run", "no-such-user-here")
    with pytest.raises(WrongSetting, match="no user no-such-user-here"):
        await runner.open()
    await runner.close()


async def test_who_is_not_root_cannot_ask_for_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    runner = SupervisedProcessRunner(tmp_path / "run", USER)
    with pytest.raises(WrongSetting, match="only root"):
        await runner.open()
    await runner.close()

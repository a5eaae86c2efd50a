"""Every byte of both streams, and a log that can fail without failing the program."""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain import log_index
from domain.attempt import Stop
from domain.log_index import RECORD_BYTES, Record
from tests.integration.process.rig import CLOCK, Rig, eventually
from tests.small_disk import small_disk


def _streams(log: bytes, index: bytes) -> dict[int, bytes]:
    """The log taken apart again by its index."""
    assert len(index) % RECORD_BYTES == 0
    records = [log_index.unpack(index[i : i + RECORD_BYTES]) for i in range(0, len(index), RECORD_BYTES)]
    whole: list[Record] = [record for record in records if record is not None]
    assert len(whole) == len(records)
    ends = [*(record.offset for record in whole[1:]), len(log)]
    apart = {log_index.STDOUT: b"", log_index.STDERR: b""}
    for record, end in zip(whole, ends, strict=True):
        apart[record.stream] += log[record.offset : end]
    return apart


async def test_both_streams_come_apart_again(rig: Rig) -> None:
    process = await rig.start_python(
        "import os\n"
        "for i in range(300):\n"
        "    os.write(1 + i % 3 // 2, f'{i} '.encode() * (i % 7))\n"
        "    if i % 50 == 0: __import__('time').sleep(0.06)"
    )
    exit_ = await process.wait()
    apart = _streams(rig.log(process), rig.log_file(process).with_suffix(".idx").read_bytes())
    pieces = [f"{i} ".encode() * (i % 7) for i in range(300)]
    assert apart[log_index.STDOUT] == b"".join(p for i, p in enumerate(pieces) if i % 3 < 2)
    assert apart[log_index.STDERR] == b"".join(p for i, p in enumerate(pieces) if i % 3 == 2)
    assert exit_.log_bytes == sum(map(len, pieces))


async def test_f41_f43_random_bytes_arrive_as_they_are(rig: Rig) -> None:
    """F43: invalid UTF-8, NUL, no newline at the end; F41: one line of many megabytes."""
    process = await rig.start_python(
        "import hashlib, os, random, sys\n"
        "data = random.Random(7).randbytes(20_000_000)\n"
        "os.write(2, hashlib.sha256(data).hexdigest().encode())\n"
        "sys.stdout.buffer.write(data)"
    )
    exit_ = await process.wait()
    apart = _streams(rig.log(process), rig.log_file(process).with_suffix(".idx").read_bytes())
    assert hashlib.sha256(apart[log_index.STDOUT]).hexdigest().encode() == apart[log_index.STDERR]
    assert (exit_.exit_code, exit_.log_bytes, exit_.log_lost_bytes) == (0, 20_000_064, 0)


async def test_f44_who_closes_its_output_at_once_ends_as_any_other(rig: Rig) -> None:
    """F44."""
    exit_, log = await rig.run_sh("exec >&- 2>&-; sleep 0.3; exit 6")
    assert (exit_.exit_code, log) == (6, b"")


async def test_who_closes_one_output_is_heard_on_the_other(rig: Rig) -> None:
    exit_, log = await rig.run_sh("exec >&-; sleep 0.3; echo late >&2; exit 6")
    assert (exit_.exit_code, log) == (6, b"late\n")


async def test_who_writes_nothing_leaves_no_log(rig: Rig) -> None:
    for _ in range(20):  # by one supervisor: what listened to one attempt's pipes is not left for the next
        process = await rig.start("/bin/true")
        exit_ = await process.wait()
        assert (exit_.exit_code, exit_.log_bytes, exit_.log_lost_bytes) == (0, 0, 0)
        assert not rig.log_file(process).exists()
        await process.forget()
    assert (await rig.run_sh("echo word"))[1] == b"word\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells of any log")
async def test_a_silent_program_that_goes_on_has_a_log_of_which_there_may_be_news(rig: Rig) -> None:
    """Nothing tells of a log that is not there: a follower would look for it again and again."""
    process = await rig.start_sleep()
    await eventually(rig.log_file(process).exists)
    process.stop()
    assert ((await process.wait()).log_bytes, rig.log(process)) == (0, b"")


async def test_f47_output_just_before_a_crash_is_kept(rig: Rig) -> None:
    """F47: the farewell of a program that is killed a moment later."""
    for _ in range(20):
        exit_, log = await rig.run_sh("echo farewell; kill -KILL $$")
        assert (exit_.signal_number, log) == (9, b"farewell\n")


async def test_output_is_in_the_log_while_the_program_runs(rig: Rig) -> None:
    process = await rig.start_python("import time; print('first', flush=True); time.sleep(1000)")
    assert await rig.says(process, b"first\n") == b"first\n"
    process.stop()
    assert (await process.wait()).stopped is Stop.CANCEL


async def test_a_log_that_cannot_be_opened_is_counted_and_harms_nobody(rig: Rig) -> None:
    (rig.directory / "file").touch()
    launch = rig.launch("/bin/sh", "-c", "echo 12345; exit 0", log=rig.directory / "file" / "no.log")
    exit_ = await (await rig.runner.start(launch)).wait()
    assert (exit_.exit_code, exit_.log_bytes, exit_.log_lost_bytes) == (0, 0, 6)


async def test_a_symbolic_link_is_no_log(rig: Rig) -> None:
    victim = rig.directory / "victim"
    victim.write_text("precious")
    launch = rig.launch("/bin/echo", "overwritten")
    launch.log.symlink_to(victim)
    exit_ = await (await rig.runner.start(launch)).wait()
    assert (exit_.exit_code, exit_.log_lost_bytes, victim.read_text()) == (0, 12, "precious")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 2):
        yield tmp_path / "disk"


async def test_f45_a_full_disk_neither_blocks_nor_fails_the_program(small: Path, rig: Rig) -> None:
    """F45: what was written is right, what was not is counted, to the byte."""
    launch = rig.launch(
        "/bin/sh", "-c", "head -c 3000000 /dev/zero; echo end >&2; exit 0", log=small / "a.log"
    )
    exit_ = await (await rig.runner.start(launch)).wait()
    assert exit_.exit_code == 0
    assert exit_.log_bytes == launch.log.stat().st_size > 0
    assert exit_.log_bytes + exit_.log_lost_bytes == 3_000_004
    _streams(launch.log.read_bytes(), launch.log.with_suffix(".idx").read_bytes())


async def test_f45_a_disk_with_room_again_is_written_again(small: Path, rig: Rig) -> None:
    ballast = small / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(b"\0" * (4 << 20))
    process = await rig.start_python(
        "import os, time\n"
        "os.write(1, b'x' * (4 << 20))\n"  # more than the pipe holds: once it is written, some is lost
        "open('full', 'w').close()\n"
        "while not os.path.exists('room'): time.sleep(0.01)\n"
        "os.write(1, b'kept')",
        log=small / "a.log",
    )
    await eventually((rig.directory / "full").exists)
    ballast.unlink()
    (rig.directory / "room").touch()
    exit_ = await process.wait()
    written = (small / "a.log").read_bytes()
    note = f"\n[etl: {exit_.log_lost_bytes} bytes lost: they could not be written]\n".encode()
    before, after = (b"\n" + written).split(
        note
    )  # a line of its own: at the very beginning it needs no newline
    assert (before.strip(b"x\n"), after.strip(b"x")) == (
        b"",
        b"kept",
    )  # what was in the pipe yet comes after it
    assert exit_.exit_code == 0
    assert exit_.log_bytes + exit_.log_lost_bytes == (4 << 20) + 4
    assert exit_.log_lost_bytes > 0


async def test_f46_a_hung_disk_does_not_delay_a_cancel(rig: Rig) -> None:
    """F46: opening a FIFO that nobody reads hangs just as a dead disk does."""
    launch = rig.launch("/bin/sh", "-c", "echo 12345; sleep 1000", rig.mark)
    os.mkfifo(launch.log)
    process = await rig.runner.start(launch)
    await eventually(rig.survivors)
    asked = CLOCK.elapsed()
    process.stop()
    await eventually(lambda: not rig.survivors())
    assert CLOCK.elapsed() - asked < 4
    exit_ = await process.wait()
    assert (exit_.stopped, exit_.processes_left, exit_.log_bytes) == (Stop.CANCEL, 0, 0)
    assert exit_.log_lost_bytes == 6

"""What of a program's output is kept: up to a limit, and without its secrets."""

import pytest

from adapters.filesystem.stored_log import StoredLog
from tests.integration.process.rig import Rig

LIMIT = 1 << 20


async def test_f42_a_log_past_its_limit_keeps_head_and_latest_tail_and_the_program_goes_on(rig: Rig) -> None:
    """F42."""
    source = "for n in range(1_000_000): print(f'{n:015d}')"
    process = await rig.start_python(source, log_max_bytes=LIMIT)
    exit_ = await process.wait()
    path = rig.log_file(process)
    extent = StoredLog(path).extent(None)
    assert exit_.exit_code == 0
    assert (exit_.log_bytes, exit_.log_lost_bytes) == (16_000_000 - extent.cut, extent.cut)
    kept = sum(file.stat().st_size for file in path.parent.glob(f"{path.stem}*.log"))
    assert LIMIT // 2 < kept == exit_.log_bytes <= LIMIT
    assert path.read_bytes().startswith(b"000000000000000\n000000000000001\n")
    page = StoredLog(path).page(str(StoredLog(path).tail(2, None)[0]), 9, None, final=True)
    assert [(line.number, line.text) for line in page.lines] == [
        (999_999, "000000000999998"),
        (1_000_000, "000000000999999"),
    ]


async def test_f42_a_flood_of_output_is_drained_counted_to_the_byte_and_blocks_nobody(
    rig: Rig, request: pytest.FixtureRequest
) -> None:
    """F42: as fast as the program can; `--flood-mib=2048` is the 2 GB of the large run."""
    mib = int(request.config.getoption("--flood-mib"))
    process = await rig.start("/bin/sh", "-c", f"yes | head -c {mib}M; echo end", log_max_bytes=LIMIT)
    other, _ = await rig.run("/bin/true")
    exit_ = await process.wait()
    log = StoredLog(rig.log_file(process))
    assert (exit_.exit_code, other.exit_code) == (0, 0)
    assert exit_.log_bytes <= LIMIT
    assert exit_.log_bytes + exit_.log_lost_bytes == (mib << 20) + 4
    assert exit_.log_lost_bytes == log.extent(None).cut
    page = log.page(str(log.tail(1, None)[0]), 9, None, final=True)
    assert [(line.number, line.text) for line in page.lines] == [((mib << 19) + 1, "end")]


async def test_secrets_never_reach_the_file(rig: Rig) -> None:
    source = (
        "import sys\n"
        "for part in ('key: pa55', 'word-1', ' and on'): print(part, end='', flush=True)\n"
        "print('pa55word-1', file=sys.stderr)"
    )
    exit_, log = await rig.run_python(source, secrets=("pa55word-1",))
    assert exit_.exit_code == 0
    assert b"key: *** and on" in log
    assert b"pa55word-1" not in log


async def test_an_end_that_may_begin_a_secret_is_kept_when_the_program_ends(rig: Rig) -> None:
    _, log = await rig.run_python("print('pa55', end='')", secrets=("pa55word-1",))
    assert log == b"pa55"

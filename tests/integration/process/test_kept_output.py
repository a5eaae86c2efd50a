"""What of a program's output is kept: up to a limit, and without its secrets."""

from adapters.filesystem.stored_log import StoredLog
from tests.integration.process.rig import Rig

LIMIT = 1 << 20


async def test_a_log_past_its_limit_keeps_head_and_latest_tail_and_the_program_goes_on(rig: Rig) -> None:
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

"""Pages of lines where the bytes are not what the index says."""

import pytest

from domain.log import MAX_PIECE_BYTES
from domain.log_index import STDOUT
from domain.log_lines import LineSpan
from domain.log_reading import LogCursor, PageFiller, decoded


@pytest.mark.parametrize("left", [b"", b"abc", b"\xe2\x82"])
def test_a_long_line_whose_bytes_are_gone_ends_with_what_is_left(left: bytes) -> None:
    stop = 3 * MAX_PIECE_BYTES
    span = LineSpan(number=1, stream=STDOUT, at_us=0, start=0, stop=stop, end=stop + 1)
    filler = PageFiller(LogCursor(), 100, lambda _stream, start, stop: left[start:stop])
    filler.add_finished([span])
    assert [(line.text, line.partial) for line in filler.lines] == [(left.decode(errors="replace"), False)]


def test_a_character_that_is_cut_is_left_for_the_next_piece() -> None:
    assert decoded("a€".encode()[:3], ends=False) == ("a", 1)
    assert decoded("a€".encode()[:3], ends=True) == ("a\ufffd", 3)

from domain.log_index import STDERR, STDOUT, SYSTEM, beginning
from domain.log_lines import completed, unfinished


def test_a_line_is_completed_by_the_run_that_holds_its_newline() -> None:
    point = (
        beginning().opened(STDOUT, 1).advanced(b"a\nhel").opened(STDERR, 2).advanced(b"x").opened(STDOUT, 3)
    )
    (line,) = completed(point, b"lo\nrest", 10)
    assert (line.number, line.stream, line.at_us, line.start, line.stop, line.end) == (2, STDOUT, 3, 2, 7, 9)


def test_no_more_lines_are_folded_than_were_asked_for() -> None:
    assert [line.number for line in completed(beginning(), b"a\nb\nc\n", 2)] == [1, 2]
    assert completed(beginning(), b"a\nb\nc\n", 0) == []


def test_unfinished_lines_come_in_the_order_of_the_streams() -> None:
    point = beginning().opened(SYSTEM, 1).advanced(b"s").opened(STDOUT, 2).advanced(b"a\nbc")
    lines = unfinished(point, (2, 0, 1))
    assert [(line.number, line.stream, line.at_us) for line in lines] == [(2, STDOUT, 2), (3, SYSTEM, 1)]
    assert [(line.start, line.stop, line.end) for line in lines] == [(2, 4, 5), (0, 1, 5)]

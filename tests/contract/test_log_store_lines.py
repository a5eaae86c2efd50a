"""LogStore: what every place for logs promises of their lines, and of the cursors between them."""

from datetime import timedelta

import pytest

from domain.errors import InvalidCursor
from domain.log import MAX_PIECE_BYTES
from tests.contract.written_logs import ERR, NOON, OUT, SYSTEM, Logs

# -- lines -----------------------------------------------------------------------------------------


async def test_lines_have_number_stream_and_time(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb\n"), (ERR, b"c\n"))
    seen = [(line.number, line.text, line.stream, line.at) for line in await logs.lines()]
    later = NOON + timedelta(seconds=1)
    assert seen == [(1, "a", OUT, NOON), (2, "b", OUT, NOON), (3, "c", ERR, later)]


async def test_a_line_that_another_stream_interrupts_stays_whole(logs: Logs) -> None:
    await logs.write((OUT, b"hel"), (ERR, b"oops\n"), (OUT, b"lo\n"))
    lines = await logs.lines()
    assert [(line.number, line.text, line.stream) for line in lines] == [(1, "oops", ERR), (2, "hello", OUT)]
    assert lines[1].at == NOON + timedelta(seconds=2)


async def test_a_line_without_newline_is_told_at_the_end_alone(logs: Logs) -> None:
    await logs.write((OUT, b"done\nhalf"), (ERR, b"why"))
    assert await logs.texts() == ["done"]
    assert await logs.texts(final=True) == ["done", "half", "why"]
    assert [line.number for line in await logs.lines(final=True)] == [1, 2, 3]
    assert await logs.texts(final=True, limit=1) == ["done", "half", "why"]


async def test_numbers_do_not_depend_on_the_filter(logs: Logs) -> None:
    await logs.write((OUT, b"a\n"), (ERR, b"b\n"), (OUT, b"c\n"), (ERR, b"d\ne"))
    lines = await logs.lines(stream=ERR, final=True)
    assert [(line.number, line.text) for line in lines] == [(2, "b"), (4, "d"), (5, "e")]


async def test_an_empty_line_is_a_line(logs: Logs) -> None:
    await logs.write((OUT, b"\n\na\n"))
    assert await logs.texts(limit=1) == ["", "", "a"]


async def test_bytes_that_are_no_text_are_shown_as_replacement_characters(logs: Logs) -> None:
    await logs.write((OUT, b"a\xffb\x00\nM\xc3"), (OUT, b"\xbcnchen\n"))
    assert await logs.texts() == ["a\ufffdb\x00", "München"]


@pytest.mark.parametrize("final", [False, True])
async def test_a_long_line_comes_in_pieces_that_cut_no_character(logs: Logs, final: bool) -> None:  # noqa: FBT001 - a parameter of the test
    text = "€" * MAX_PIECE_BYTES
    await logs.write((OUT, b"before\n"), (OUT, text.encode()), (ERR, b"between\n"))
    if not final:
        await logs.write((OUT, b"\n"))
    for limit in (1, 2, 100):
        pieces = (await logs.lines(limit=limit, final=final))[2:]
        assert "".join(piece.text for piece in pieces) == text
        assert [piece.partial for piece in pieces] == [True] * (len(pieces) - 1) + [False]
        assert {piece.number for piece in pieces} == {3}
        assert max(len(piece.text.encode()) for piece in pieces) <= MAX_PIECE_BYTES
        assert len(pieces) > 3


async def test_a_page_of_long_lines_ends_early(logs: Logs) -> None:
    await logs.write(*[(OUT, b"x" * 60_000 + b"\n") for _ in range(40)])
    page = await logs.store.lines(logs.ref, None, 100, final=False)
    assert 10 < len(page.lines) < 30
    assert len(await logs.texts()) == 40


# -- cursors ---------------------------------------------------------------------------------------


async def test_a_reader_goes_on_where_it_was_while_the_log_grows(logs: Logs) -> None:
    chunks = [(OUT, b"a"), (ERR, b"1\n2"), (OUT, b"b\nc"), (SYSTEM, b"s\n"), (ERR, b"\n"), (OUT, b"d\n")]
    cursor, seen = None, []
    for chunk in chunks:
        await logs.write(chunk)
        page = await logs.store.lines(logs.ref, cursor, 100, final=False)
        seen += [line.text for line in page.lines]
        cursor = page.cursor
    assert seen == ["1", "ab", "s", "2", "cd"]


async def test_every_line_can_be_resumed_after(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb"), (ERR, b"1\n2"), (OUT, b"c\n\nd"), (ERR, b"3\n"))
    lines = await logs.lines(final=True)
    for count, line in enumerate(lines, 1):
        assert await logs.lines(line.cursor, final=True) == lines[count:]


async def test_the_page_at_the_end_stays_at_the_end(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb"), (ERR, b"c"))
    page = await logs.store.lines(logs.ref, None, 100, final=True)
    after = await logs.store.lines(logs.ref, page.cursor, 100, final=True)
    assert (after.lines, after.cursor, after.size) == ((), page.cursor, 4)


async def test_a_page_of_no_lines_moves_nowhere(logs: Logs) -> None:
    await logs.write((OUT, b"a\n"))
    page = await logs.store.lines(logs.ref, None, 0, final=True)
    assert page.lines == ()
    assert await logs.texts(page.cursor) == ["a"]


async def test_cursors_are_plain_characters_for_a_url(logs: Logs) -> None:
    await logs.write((OUT, b"x" * 200_000 + b"\nb"))
    assert all(set(line.cursor) <= set("0123456789abcdef-") for line in await logs.lines(final=True))


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "0", "0-0", "0-0-0-0", "00-0-0", "0-0-0\n", " 0-0-0", "0-0-0\0", "A-0-0", "٣-0-0"),
        *("-1-0-0", "3-0-0", "0-9-0", "0-0-4", "f" * 16 + "-0-0", "f" * 99 + "-0-0"),
    ],
)
async def test_a_cursor_from_elsewhere_is_refused(logs: Logs, cursor: str) -> None:
    await logs.write((OUT, b"\na"))
    with pytest.raises(InvalidCursor):
        await logs.store.lines(logs.ref, cursor, 10, final=True)


# -- the end first ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "texts", "offset"),
    [
        (0, [], 11),
        (1, ["f"], 10),
        (2, ["e", "f"], 8),
        (3, ["dd", "e", "f"], 5),
        (5, ["aa", "c", "dd", "e", "f"], 0),
    ],
)
async def test_the_tail_begins_before_the_last_lines(
    logs: Logs, count: int, texts: list[str], offset: int
) -> None:
    await logs.write((OUT, b"aa\n"), (ERR, b"c\nd"), (ERR, b"d\n"), (OUT, b"e\n"), (OUT, b"f"))
    cursor, begins = await logs.store.tail(logs.ref, count)
    assert await logs.texts(cursor, final=True) == texts
    assert begins == offset


@pytest.mark.parametrize("count", [5, 6, 1000])
async def test_a_tail_longer_than_the_log_is_the_log(logs: Logs, count: int) -> None:
    await logs.write((OUT, b"a\n"), (ERR, b"b\nc\n"), (OUT, b"d\n"), (ERR, b"e"))
    cursor, begins = await logs.store.tail(logs.ref, count)
    assert len(await logs.texts(cursor, final=True)) == 5
    assert begins == 0


@pytest.mark.parametrize(
    ("count", "texts", "offset"), [(0, [], 8), (1, ["g"], 7), (2, ["ef", "g"], 4), (3, ["c", "ef", "g"], 2)]
)
async def test_the_tail_of_a_stream_counts_its_own_lines_and_bytes(
    logs: Logs, count: int, texts: list[str], offset: int
) -> None:
    await logs.write((OUT, b"a\nc\ne"), (ERR, b"1\n2\n3"), (OUT, b"f\ng"), (ERR, b"\n4\n5"))
    cursor, begins = await logs.store.tail(logs.ref, count, OUT)
    assert await logs.texts(cursor, OUT, final=True) == texts
    assert begins == offset
    assert await logs.bytes(begins, stream=OUT) == "\n".join(texts).encode()


async def test_the_tail_of_an_empty_log_is_empty(logs: Logs) -> None:
    await logs.write((OUT, b""))
    cursor, begins = await logs.store.tail(logs.ref, 10)
    assert begins == 0
    assert await logs.texts(cursor, final=True) == []


async def test_what_is_written_after_a_tail_follows_it(logs: Logs) -> None:
    await logs.write((OUT, b"a\nb"), (ERR, b"1"))
    cursor, _ = await logs.store.tail(logs.ref, 0)
    await logs.write((OUT, b"c\n"), (ERR, b"2\n"))
    assert await logs.texts(cursor) == ["bc", "12"]


# -- search, and lines as a terminal shows them ----------------------------------------------------


async def test_a_search_gives_only_lines_with_the_text(logs: Logs) -> None:
    await logs.write((OUT, b"one\ntwo\nthr"), (ERR, b"no\n"), (OUT, b"ee\nlast one"))

    async def found(text: str, *, final: bool = True) -> list[tuple[int, str]]:
        page = await logs.store.lines(logs.ref, None, 100, final=final, contains=text)
        return [(line.number, line.text) for line in page.lines]

    assert await found("one") == [(1, "one"), (5, "last one")]
    assert await found("one", final=False) == [(1, "one")]
    assert await found("three") == [(4, "three")]
    assert await found("One") == []


async def test_a_progress_bar_is_its_last_state(logs: Logs) -> None:
    await logs.write((OUT, b"10 %\r50 %\r100 %\nwindows\r\n"), (OUT, b"1\r2\r"))
    assert await logs.texts(final=True) == ["100 %", "windows", "2"]


async def test_a_progress_bar_of_many_states_is_one_line(logs: Logs) -> None:
    await logs.write((OUT, b"".join(b"%d %%\r" % n for n in range(50_000)) + b"\n"))
    lines = await logs.lines()
    assert [(line.text, line.partial) for line in lines] == [("49999 %", False)]

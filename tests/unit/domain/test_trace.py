"""W3C Trace Context, as far as it concerns us."""

import pytest

from domain.trace import TraceContext

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_was_read_is_written_again() -> None:
    context = TraceContext.parse(GIVEN)
    assert context == TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)
    assert str(context) == GIVEN


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True)])
def test_the_lowest_flag_says_whether_it_is_recorded(flags: str, sampled: bool) -> None:  # noqa: FBT001 - pytest's
    context = TraceContext.parse(GIVEN[:-2] + flags)
    assert context is not None
    assert context.is_sampled == sampled


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        GIVEN.upper(),
        GIVEN[:-1],
        f"{GIVEN}\n",
        f" {GIVEN}",
        f"ff{GIVEN[2:]}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        "00-0af7651916cd43dd8448eb211c80319٣-b7ad6b7169203331-01",
    ],
)
def test_what_the_standard_calls_invalid_is_none(wrong: str | None) -> None:
    assert TraceContext.parse(wrong) is None


def test_a_child_is_in_the_same_trace_under_an_id_of_its_own() -> None:
    context = TraceContext.parse(GIVEN)
    assert context is not None
    child = context.child("attempt")
    assert (child.trace_id, child.flags) == (context.trace_id, 1)
    assert len({context.span_id, child.span_id, context.child("wait").span_id, child.child("x").span_id}) == 4
    assert TraceContext.parse(str(child)) == child

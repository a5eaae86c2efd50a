"""Durations and sizes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.settings import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("2h", 7200.0), ("7d", 604800.0), ("1.5h", 5400.0)],
)
def test_a_duration_is_read_in_seconds(text: str, expected: float) -> None:
    assert units.seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("0B", 0), ("64KiB", 65536), ("10MiB", 10 * 2**20), ("2GiB", 2**31)]
)
def test_a_size_is_read_in_bytes(text: str, expected: int) -> None:
    assert units.size(text) == expected


@pytest.mark.parametrize("text", ["30", "", "s", "-5s", "5 minutes", "1e3s", "٣s", "5S", "5s\n5s", "inf s"])
def test_what_is_no_duration_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(ValueError, match="write a duration with its unit"):
        units.seconds(text)


@pytest.mark.parametrize("text", ["1024", "", "KiB", "-1KiB", "1KB", "1kib", "10M"])
def test_what_is_no_size_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(ValueError, match="write a size with its unit"):
        units.size(text)


def test_a_duration_beyond_a_century_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 100 years"):
        units.seconds("99999999d")


def test_a_part_of_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="whole bytes"):
        units.size("1.5B")


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_that_is_shown_reads_back_the_same(milliseconds: int) -> None:
    value = milliseconds / 1000
    assert units.seconds(units.show_seconds(value)) == pytest.approx(value)


@given(st.integers(min_value=0, max_value=units.MAX_BYTES))
def test_a_size_that_is_shown_reads_back_the_same(value: int) -> None:
    assert units.size(units.show_size(value)) == value


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert units.seconds(text) >= 0

"""A bucket's arithmetic."""

from hypothesis import given
from hypothesis import strategies as st

from domain.rate import Rate, Taken, take

RATES = st.builds(Rate, st.integers(1, 100_000), st.sampled_from([1.0, 60.0, 3600.0]))
STEPS = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 200)), min_size=1, max_size=50)


@given(rate=RATES, steps=STEPS)
def test_no_stretch_of_time_grants_more_than_the_quota_and_what_came_back_in_it(
    rate: Rate, steps: list[tuple[float, int]]
) -> None:
    now = full_at = 1.7e9
    grants: list[tuple[float, int]] = []
    for pause, wanted in steps:
        now += pause
        full_at, granted = take(rate, full_at, now, wanted)
        assert 0 <= granted <= wanted
        grants.append((now, granted))
    for first in range(len(grants)):
        since = grants[first][0]
        for last in range(first, len(grants)):
            allowed = rate.quota + (grants[last][0] - since) / rate.interval
            assert sum(granted for _, granted in grants[first : last + 1]) <= allowed + 1


@given(rate=RATES)
def test_what_is_left_and_the_wait_agree_with_what_is_granted_next(rate: Rate) -> None:
    full_at, granted = take(rate, 0.0, 0.0, rate.quota)
    taken = Taken.of(rate, granted, full_at)
    assert (granted, taken.left, taken.wait_seconds) == (rate.quota, 0, 0.0)
    full_at, granted = take(rate, full_at, 0.0, 1)
    refused = Taken.of(rate, granted, full_at)
    assert granted == 0
    assert take(rate, full_at, refused.wait_seconds, 1)[1] == 1


@given(rate=RATES)
def test_a_lot_is_a_twentieth_and_at_least_one(rate: Rate) -> None:
    assert 1 <= rate.lot <= max(1, rate.quota / 20)

"""When a job is tried again, and after how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.attempt import Outcome, Reason
from domain.policy import MAX_ATTEMPTS, MAX_FACTOR, YEAR_SECONDS, RetryPolicy

EXIT_3 = Reason(code="exit", message="Exited with status 3.", exit_code=3)
KILLED = Reason(code="signal", message="Killed by SIGKILL.", signal="SIGKILL")


def test_the_default_is_one_attempt() -> None:
    assert not RetryPolicy().allows(1, Outcome.FAILED, EXIT_3)


def test_attempts_are_allowed_up_to_the_maximum() -> None:
    policy = RetryPolicy(max_attempts=3)
    assert [policy.allows(n, Outcome.LOST, KILLED) for n in (1, 2, 3, 4)] == [True, True, False, False]


def test_only_the_named_outcomes_are_repeated() -> None:
    policy = RetryPolicy(max_attempts=9, on=(Outcome.LOST,))
    allowed = {outcome for outcome in Outcome if policy.allows(1, outcome, EXIT_3)}
    assert allowed == {Outcome.LOST}


def test_exit_codes_narrow_failures_and_nothing_else() -> None:
    policy = RetryPolicy(max_attempts=9, exit_codes=(75,))
    assert not policy.allows(1, Outcome.FAILED, EXIT_3)
    assert not policy.allows(1, Outcome.FAILED, KILLED)
    assert policy.allows(1, Outcome.FAILED, Reason(code="exit", message="", exit_code=75))
    assert policy.allows(1, Outcome.TIMED_OUT, KILLED)


def test_delays_grow_by_the_factor_up_to_the_cap() -> None:
    policy = RetryPolicy(delay_seconds=10, factor=2, max_delay_seconds=60)
    assert [policy.delay(n, 0.5) for n in range(1, 6)] == [10, 20, 40, 60, 60]


def test_chance_spreads_a_delay_by_the_jitter_to_both_sides() -> None:
    policy = RetryPolicy(delay_seconds=100, jitter=0.1)
    assert policy.delay(1, 0.0) == pytest.approx(90)
    assert policy.delay(1, 0.5) == pytest.approx(100)
    assert policy.delay(1, 0.999999) == pytest.approx(110, abs=0.01)


@given(
    policy=st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, MAX_ATTEMPTS),
        delay_seconds=st.floats(0, YEAR_SECONDS),
        factor=st.floats(1, MAX_FACTOR),
        max_delay_seconds=st.floats(0, YEAR_SECONDS),
        jitter=st.floats(0, 1),
    ),
    attempt=st.integers(1, MAX_ATTEMPTS),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_every_policy_without_faults_has_a_delay_between_nothing_and_twice_its_cap(
    policy: RetryPolicy, attempt: int, chance: float
) -> None:
    assert list(policy.faults()) == []
    assert 0 <= policy.delay(attempt, chance) <= 2 * policy.max_delay_seconds


@pytest.mark.parametrize(
    ("policy", "pointer"),
    [
        (RetryPolicy(max_attempts=0), "/retry/max_attempts"),
        (RetryPolicy(max_attempts=MAX_ATTEMPTS + 1), "/retry/max_attempts"),
        (RetryPolicy(delay_seconds=-1), "/retry/delay_seconds"),
        (RetryPolicy(delay_seconds=float("nan")), "/retry/delay_seconds"),
        (RetryPolicy(delay_seconds=float("inf")), "/retry/delay_seconds"),
        (RetryPolicy(max_delay_seconds=YEAR_SECONDS + 1), "/retry/max_delay_seconds"),
        (RetryPolicy(factor=0.5), "/retry/factor"),
        (RetryPolicy(factor=float("nan")), "/retry/factor"),
        (RetryPolicy(jitter=1.1), "/retry/jitter"),
        (RetryPolicy(on=(Outcome.SUCCEEDED,)), "/retry/on"),
        (RetryPolicy(on=(Outcome.FAILED, Outcome.CANCELLED)), "/retry/on"),
    ],
)
def test_a_value_outside_its_range_is_named(policy: RetryPolicy, pointer: str) -> None:
    assert [place.pointer for place in policy.faults()] == [pointer]

"""From the facts of an ended process to an outcome and a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.attempt import Exit, Outcome, Stop, judge, signal_name


@pytest.mark.parametrize(
    ("exit_", "outcome", "code", "message"),
    [
        (Exit(exit_code=0), Outcome.SUCCEEDED, "exit", "Exited with status 0."),
        (Exit(exit_code=3), Outcome.FAILED, "exit", "Exited with status 3."),
        (Exit(signal_number=9), Outcome.FAILED, "signal", "Killed by SIGKILL."),
        (
            Exit(start_error="No such interpreter."),
            Outcome.FAILED,
            "could_not_start",
            "No such interpreter.",
        ),
        (Exit(lost="Its supervisor died."), Outcome.LOST, "lost", "Its supervisor died."),
        (
            Exit(signal_number=15, stopped=Stop.TIMEOUT),
            Outcome.TIMED_OUT,
            "timeout",
            "Stopped after its timeout of 90 s.",
        ),
        (
            Exit(signal_number=9, stopped=Stop.CANCEL),
            Outcome.CANCELLED,
            "cancelled",
            "Stopped because its cancellation was asked for.",
        ),
        (
            Exit(signal_number=9, stopped=Stop.LEASE),
            Outcome.LOST,
            "lease_expired",
            "Stopped because its worker could not renew its lease.",
        ),
        (
            Exit(exit_code=0, stopped=Stop.WORKER),
            Outcome.LOST,
            "worker_stopped",
            "Stopped because its worker was stopped.",
        ),
    ],
)
def test_each_way_to_end_has_its_outcome_and_its_sentence(
    exit_: Exit, outcome: Outcome, code: str, message: str
) -> None:
    ending = judge(exit_, 90.0)
    assert (ending.outcome, ending.reason.code, ending.reason.message) == (outcome, code, message)
    assert ending.exit is exit_


def test_a_stopped_program_that_exited_by_itself_shows_its_own_status() -> None:
    ending = judge(Exit(exit_code=0, stopped=Stop.TIMEOUT), 1.0)
    assert (ending.outcome, ending.reason.exit_code) == (Outcome.TIMED_OUT, 0)


def test_the_reason_names_signal_and_status() -> None:
    assert judge(Exit(signal_number=11), 1.0).reason.signal == "SIGSEGV"
    assert judge(Exit(exit_code=137), 1.0).reason.exit_code == 137
    assert judge(Exit(exit_code=0), 1.0).reason.signal is None


def test_a_fraction_of_a_second_is_told_as_it_was_set() -> None:
    assert "0.5 s" in judge(Exit(signal_number=15, stopped=Stop.TIMEOUT), 0.5).reason.message


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(250) == "signal 250"


def test_last_lines_are_shown_without_changing_anything_else() -> None:
    reason = judge(Exit(exit_code=1), 1.0).reason
    shown = reason.showing(("a", "b"))
    assert shown.last_lines == ("a", "b")
    assert shown.showing(()) == reason


@given(
    exit_=st.builds(Exit, exit_code=st.integers(0, 255), stopped=st.none() | st.sampled_from(Stop))
    | st.builds(Exit, signal_number=st.integers(1, 64), stopped=st.none() | st.sampled_from(Stop))
    | st.builds(Exit, start_error=st.text(min_size=1))
    | st.builds(Exit, lost=st.text(min_size=1))
)
def test_only_status_0_without_a_stop_succeeds_and_every_ending_says_why(exit_: Exit) -> None:
    ending = judge(exit_, 60.0)
    assert (ending.outcome is Outcome.SUCCEEDED) == (exit_.exit_code == 0 and exit_.stopped is None)
    assert ending.reason.message

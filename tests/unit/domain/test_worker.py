"""Leases, as the worker reckons them."""

from hypothesis import given
from hypothesis import strategies as st

from domain.worker import LeaseTerms
from tests.builders import a_worker


def test_a_worker_is_found_by_host_and_process() -> None:
    assert a_worker(host="node-7", pid=12).name == "node-7:12"


def test_a_program_must_be_stopped_a_margin_before_its_lease_is_over() -> None:
    terms = LeaseTerms(seconds=60, last_seconds=900, margin_seconds=10)
    assert terms.deadline(1000.0, last=False) == 1050.0
    assert terms.deadline(1000.0, last=True) == 1890.0


@given(asked_at=st.floats(0, 1e9), answered_after=st.floats(0, 1e4), last=st.booleans())
def test_the_deadline_comes_before_the_lease_that_the_store_sets_later(
    asked_at: float, answered_after: float, *, last: bool
) -> None:
    terms = LeaseTerms()
    lease = terms.last_seconds if last else terms.seconds
    assert terms.deadline(asked_at, last=last) < asked_at + answered_after + lease

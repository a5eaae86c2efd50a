"""Meters: what every way to count promises. Figures are named as Prometheus tells them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from adapters.memory.meters import MemoryMeters
from adapters.prometheus.meters import PrometheusMeters
from application.ports.meters import Meters, Renewed
from domain.attempt import Ending, Exit, judge
from tests.builders import failed, lost, succeeded


@dataclass(frozen=True)
class Counted:
    meters: Meters
    read: Callable[..., float | None]


def in_memory() -> Counted:
    meters = MemoryMeters()
    return Counted(meters, meters.read)


def for_prometheus() -> Counted:
    meters = PrometheusMeters()
    return Counted(meters, lambda name, **labels: meters.registry.get_sample_value(name, labels))


@pytest.fixture(params=[in_memory, for_prometheus])
def counted(request: pytest.FixtureRequest) -> Counted:
    made: Counted = request.param()
    return made


def test_accepted_jobs_are_added_up(counted: Counted) -> None:
    counted.meters.submitted(3)
    counted.meters.submitted(1)
    assert counted.read("etl_jobs_submitted_total") == 4


def test_a_claim_counts_once_and_each_of_its_jobs_with_its_wait(counted: Counted) -> None:
    counted.meters.claimed(0.25, [1.5, 2.0])
    counted.meters.claimed(0.5, [])
    assert counted.read("etl_claim_seconds_count") == 2
    assert counted.read("etl_claim_seconds_sum") == 0.75
    assert counted.read("etl_jobs_claimed_total") == 2
    assert counted.read("etl_job_wait_seconds_count") == 2
    assert counted.read("etl_job_wait_seconds_sum") == 3.5


def test_a_wait_that_clocks_make_negative_counts_as_none(counted: Counted) -> None:
    counted.meters.claimed(0.25, [-4.0])
    assert counted.read("etl_job_wait_seconds_count") == 1
    assert counted.read("etl_job_wait_seconds_sum") == 0


def test_wake_ups_and_starts_are_measured(counted: Counted) -> None:
    counted.meters.woken(0.5)
    counted.meters.program_started(0.125)
    assert counted.read("etl_wakeup_seconds_sum") == 0.5
    assert counted.read("etl_process_start_seconds_sum") == 0.125


def with_log(ending: Ending, written: int, cut: int) -> Ending:
    return replace(ending, exit=replace(ending.exit, log_bytes=written, log_lost_bytes=cut))


def test_an_attempt_is_counted_by_outcome_and_reason_with_its_time_and_its_log(counted: Counted) -> None:
    counted.meters.attempt_ended(with_log(succeeded(), 1000, 0))
    counted.meters.attempt_ended(with_log(failed(), 500, 20))
    assert counted.read("etl_attempts_total", outcome="succeeded", reason="exit") == 1
    assert counted.read("etl_attempts_total", outcome="failed", reason="exit") == 1
    assert counted.read("etl_log_bytes_total") == 1500
    assert counted.read("etl_log_lost_bytes_total") == 20
    assert counted.read("etl_attempt_seconds_count") == 2
    assert counted.read("etl_attempt_seconds_sum") == 3.0


def test_an_attempt_that_nobody_measured_has_no_time(counted: Counted) -> None:
    counted.meters.attempt_ended(lost())
    counted.meters.attempt_ended(judge(Exit(start_error="No such file."), 60))
    assert counted.read("etl_attempts_total", outcome="lost", reason="lost") == 1
    assert counted.read("etl_attempts_total", outcome="failed", reason="could_not_start") == 1
    assert counted.read("etl_attempt_seconds_count") == 0


@pytest.mark.parametrize("how", Renewed)
def test_renewals_are_told_apart_and_each_kind_is_there_before_it_happens(
    counted: Counted, how: Renewed
) -> None:
    assert counted.read("etl_lease_renewals_total", result=how) == 0
    counted.meters.renewed(how)
    assert [counted.read("etl_lease_renewals_total", result=each) for each in Renewed] == [
        int(each is how) for each in Renewed
    ]


def test_rescues_are_added_up(counted: Counted) -> None:
    counted.meters.rescued(2)
    counted.meters.rescued(0)
    assert counted.read("etl_attempts_rescued_total") == 2


def test_requests_are_counted_by_operation_method_and_status(counted: Counted) -> None:
    counted.meters.answered("submitJob", "POST", 201, 0.25)
    counted.meters.answered("submitJob", "POST", 422, 0.25)
    asked = {"operation": "submitJob", "method": "POST"}
    assert counted.read("etl_http_requests_total", status="201", **asked) == 1
    assert counted.read("etl_http_requests_total", status="422", **asked) == 1
    assert counted.read("etl_http_request_seconds_sum", operation="submitJob") == 0.5

"""What a job may take, and what is said when it took more."""

import pytest

from domain.attempt import Exit, Outcome, Stop, judge
from domain.resources import UNLIMITED, Resources
from tests.builders import a_job


def test_no_limit_is_a_sound_choice_and_the_default() -> None:
    assert list(UNLIMITED.faults()) == []
    assert a_job().spec.resources == UNLIMITED


@pytest.mark.parametrize(
    ("resources", "pointer"),
    [
        (Resources(memory_bytes=2**20 - 1), "/resources/memory_bytes"),
        (Resources(cpu_seconds=0), "/resources/cpu_seconds"),
        (Resources(cpu_seconds=float("nan")), "/resources/cpu_seconds"),
        (Resources(open_files=15), "/resources/open_files"),
        (Resources(open_files=2**20 + 1), "/resources/open_files"),
        (Resources(processes=0), "/resources/processes"),
    ],
)
def test_a_limit_outside_its_range_is_refused_with_its_place(resources: Resources, pointer: str) -> None:
    assert [place.pointer for place in a_job(resources=resources).spec.faults()] == [pointer]


def test_the_least_limits_are_accepted() -> None:
    least = Resources(memory_bytes=2**20, cpu_seconds=0.001, open_files=16, processes=1)
    assert list(a_job(resources=least).spec.faults()) == []


@pytest.mark.parametrize(
    ("stop", "code", "message"),
    [
        (
            Stop.MEMORY,
            "out_of_memory",
            "Stopped because its processes together took more than its limit of 1048576 bytes of memory.",
        ),
        (
            Stop.CPU,
            "cpu_limit",
            "Stopped because its processes together took more than its limit of 2.5 s of processor time.",
        ),
        (Stop.PROCESSES, "process_limit", "Stopped because it had more than 7 processes."),
    ],
)
def test_a_passed_limit_is_a_failure_with_its_own_reason(stop: Stop, code: str, message: str) -> None:
    resources = Resources(memory_bytes=2**20, cpu_seconds=2.5, processes=7)
    ending = judge(Exit(signal_number=9, stopped=stop), 60, resources)
    assert (ending.outcome, ending.reason.code, ending.reason.message) == (Outcome.FAILED, code, message)
    assert ending.reason.signal == "SIGKILL"


def test_a_kill_by_the_kernel_for_lack_of_memory_has_its_own_reason() -> None:
    ending = judge(Exit(signal_number=9, oom_kill=True), 60)
    assert (ending.outcome, ending.reason.code) == (Outcome.FAILED, "out_of_memory")
    assert "kernel" in ending.reason.message

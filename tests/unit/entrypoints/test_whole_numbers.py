"""A whole number may be written with a fraction of zero, as JSON Schema says."""

import pytest

from entrypoints.http.reading import decoded
from entrypoints.http.refusals import SchemaBroken
from entrypoints.http.schemas import BatchRequest, JobRequest


def test_a_fraction_of_zero_is_taken_wherever_an_integer_is_asked_for() -> None:
    body = b'{"script": "a.py", "priority": 5.0, "resources": {"memory_bytes": 1.6777216e7}}'
    request = decoded(body, JobRequest)
    assert (request.priority, type(request.priority)) == (5, int)
    assert request.resources.memory_bytes == 16_777_216


def test_a_parameter_stays_as_it_was_written() -> None:
    request = decoded(b'{"script": "a.py", "priority": 5.0, "parameters": {"rate": 2.0}}', JobRequest)
    assert (request.parameters["rate"], type(request.parameters["rate"])) == (2.0, float)


def test_every_job_of_a_large_batch_may_have_one() -> None:
    jobs = b", ".join([b'{"script": "a.py", "priority": 5.0}'] * 1000)
    request = decoded(b'{"jobs": [' + jobs + b"]}", BatchRequest)
    assert {job.priority for job in request.jobs} == {5}


@pytest.mark.parametrize("number", [b"5.5", b"1e30", b"500.0", b'"5"'])
def test_no_other_number_is(number: bytes) -> None:
    with pytest.raises(SchemaBroken) as refused:
        decoded(b'{"script": "a.py", "priority": ' + number + b"}", JobRequest)
    assert [place.pointer for place in refused.value.places] == ["/priority"]

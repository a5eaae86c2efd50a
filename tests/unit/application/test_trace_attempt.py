"""One trace from the request to the program, whoever claims, adopts and reports."""

from datetime import timedelta
from typing import Any

import pytest

from application.ports.tracer import SpanKind
from domain.attempt import Exit, Usage
from domain.job import Job
from domain.trace import TraceContext
from tests.builders import claim_of
from tests.unit.application.worlds import World

REQUEST = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)
GOOD = Exit(exit_code=0, usage=Usage(wall_seconds=2.0, cpu_seconds=0.5, max_rss_bytes=1))


async def claimed(world: World, **spec: Any) -> Job:
    await world.begin()
    await world.queued(**{"traceparent": str(REQUEST), **spec})
    world.clock.advance(5)
    (job,) = await world.claim()()
    return job


async def test_wait_and_attempt_lie_below_the_request_and_the_program_below_its_attempt(world: World) -> None:
    job = await claimed(world)
    world.runner.exit = GOOD
    await world.run(job)
    wait, attempt, process = world.tracer.spans
    assert [span.name for span in world.tracer.spans] == ["wait", "attempt", "process"]
    assert wait.parent == attempt.parent == REQUEST
    assert process.parent == attempt.context
    assert {span.context.trace_id for span in world.tracer.spans} == {REQUEST.trace_id}
    assert [span.kind for span in (wait, attempt)] == [SpanKind.INTERNAL, SpanKind.CONSUMER]
    assert wait.ended_at - wait.began_at == timedelta(seconds=5)
    assert process.ended_at - process.began_at == timedelta(seconds=2)


async def test_the_program_is_told_the_span_that_will_be_its_own(world: World) -> None:
    job = await claimed(world)
    world.runner.exit = GOOD
    await world.run(job)
    assert world.runner.launches[0].environment["TRACEPARENT"] == str(world.tracer.spans[-1].context)


async def test_the_spans_say_which_job_and_how_it_ended_and_hold_no_value_of_the_caller(world: World) -> None:
    job = await claimed(world, environment={"DB_PASSWORD": "s3cret"}, queue="night")
    world.runner.exit = Exit(exit_code=3, usage=GOOD.usage)
    await world.run(job)
    attempt = world.tracer.spans[1]
    assert attempt.attributes == {
        "etl.job.id": str(job.id),
        "etl.queue": "night",
        "etl.attempt": 1,
        "etl.fence": 1,
        "etl.script": "load.py",
        "etl.outcome": "failed",
        "etl.reason": "exit",
        "process.exit.code": 3,
    }
    assert attempt.error == "Exited with status 3."
    assert world.tracer.spans[0].error is None


async def test_an_adopted_attempt_is_recorded_under_the_same_spans_by_whoever_reports_it(
    world: World,
) -> None:
    job = await claimed(world)
    world.runner.exit = GOOD
    process = await world.runner.start(world.run._launch(job))
    await world.queue.start([claim_of(job)])
    await world.run.finish(job, process)
    _, attempt, program = world.tracer.spans
    assert world.runner.launches[0].environment["TRACEPARENT"] == str(program.context)
    assert program.parent == attempt.context
    assert attempt.began_at == program.began_at == world.clock.now() - timedelta(seconds=2)


async def test_a_program_that_never_ran_has_an_attempt_and_no_process(world: World) -> None:
    job = await claimed(world)
    world.runner.exit = Exit(start_error="No such file.")
    await world.run(job)
    assert [span.name for span in world.tracer.spans] == ["wait", "attempt"]


@pytest.mark.parametrize("traceparent", [None, str(TraceContext("a" * 32, "b" * 16, 0))])
async def test_a_job_whose_request_is_not_recorded_has_no_spans_and_hands_on_what_came(
    world: World, traceparent: str | None
) -> None:
    job = await claimed(world, traceparent=traceparent)
    world.runner.exit = GOOD
    await world.run(job)
    assert world.tracer.spans == []
    assert world.runner.launches[0].environment.get("TRACEPARENT") == traceparent


async def test_a_clock_ahead_of_ours_makes_no_wait_that_ends_before_it_begins(world: World) -> None:
    await world.begin()
    job = await world.queued(traceparent=str(REQUEST))
    world.trace.claimed(job, world.clock.now() - timedelta(seconds=3))
    (wait,) = world.tracer.spans
    assert wait.began_at == wait.ended_at

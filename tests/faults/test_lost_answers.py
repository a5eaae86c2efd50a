"""A commit that was done and whose answer was lost: asking again does no harm, and nothing is forgotten."""

import asyncio
from uuid import UUID

import psycopg
import pytest

from application.run_attempt import Reports
from domain.attempt import Outcome
from domain.errors import DatabaseUnavailable, IdempotencyKeyReused
from domain.event import EventKind
from domain.job import Job, JobState
from tests.builders import a_job, a_request, claim_of, report_of
from tests.contract.kernels import join, start_one, submit
from tests.contract.postgres_kernel import PostgresKernel
from tests.faults.node import Place
from tests.faults.proxy import Hook, Proxy
from tests.faults.waiting import ended


def once_stored(url: str) -> Hook:
    """Says yes as soon as there is a job."""

    async def stored() -> bool:
        return bool(ids(url))

    return stored


def once(kernel: PostgresKernel, job: Job, kind: EventKind) -> Hook:
    """Says yes as soon as this has happened to the job."""

    async def happened() -> bool:
        return kind in {event.kind for event in await kernel.history.events(job.id)}

    return happened


async def test_f04_the_retry_of_a_submit_whose_answer_was_lost_finds_the_first_one(
    hurt: PostgresKernel, proxy: Proxy, database_url: str
) -> None:
    """F04, with a key: another job object, as of a second HTTP request."""
    first, second = a_job(), a_job()
    proxy.lose_answer = once_stored(database_url)
    with pytest.raises(DatabaseUnavailable):
        await hurt.queue.submit([first], a_request())
    again = await hurt.queue.submit([second], a_request())
    assert (again.replayed, [job.id for job in again.jobs]) == (True, [first.id])
    assert ids(database_url) == [first.id]


async def test_f04_a_submit_repeated_by_the_server_itself_makes_one_job_without_a_key(
    hurt: PostgresKernel, proxy: Proxy, database_url: str
) -> None:
    """F04, without a key: the same job again."""
    job = a_job()
    proxy.lose_answer = once_stored(database_url)
    with pytest.raises(DatabaseUnavailable):
        await hurt.queue.submit([job])
    assert [each.id for each in (await hurt.queue.submit([job])).jobs] == [job.id]
    assert ids(database_url) == [job.id]


async def test_f05_fifty_requests_with_one_key_make_one_job(
    kernel: PostgresKernel, database_url: str
) -> None:
    """F05: two submits with one key, in parallel."""
    answers = await asyncio.gather(*(kernel.queue.submit([a_job()], a_request()) for _ in range(50)))
    (stored,) = ids(database_url)
    assert [job.id for answer in answers for job in answer.jobs] == [stored] * 50
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 49


async def test_f06_the_same_key_with_another_body_is_refused_and_makes_nothing(
    kernel: PostgresKernel, database_url: str
) -> None:
    """F06; over HTTP it is a 422 (tests/integration/http)."""
    rivals = [a_request(digest=f"body-{number}".encode()) for number in range(10)]
    answers = await asyncio.gather(
        *(kernel.queue.submit([a_job()], rival) for rival in rivals), return_exceptions=True
    )
    assert sum(isinstance(answer, IdempotencyKeyReused) for answer in answers) == 9, answers
    assert len(ids(database_url)) == 1


async def test_f10_a_report_whose_answer_was_lost_is_sent_again_and_counts_once(
    hurt: PostgresKernel, kernel: PostgresKernel, proxy: Proxy
) -> None:
    """F10: the second report sees its own."""
    worker = await join(kernel)
    await submit(kernel, a_job())
    job = await start_one(kernel, worker)
    proxy.lose_answer = once(kernel, job, EventKind.SUCCEEDED)
    after = await Reports(hurt.queue).ended(report_of(job))
    assert proxy.lose_answer is None
    assert after is not None
    assert after.state is JobState.SUCCEEDED
    kinds = [event.kind for event in await kernel.history.events(job.id)]
    assert kinds.count(EventKind.SUCCEEDED) == 1


async def test_f10_a_start_whose_answer_was_lost_is_granted_again(
    hurt: PostgresKernel, kernel: PostgresKernel, proxy: Proxy
) -> None:
    """F10, of a start."""
    worker = await join(kernel)
    await submit(kernel, a_job())
    (job,) = await kernel.queue.claim(worker.id, 1)
    proxy.lose_answer = once(kernel, job, EventKind.STARTED)
    assert await Reports(hurt.queue).may_start(claim_of(job))
    assert proxy.lose_answer is None
    kinds = [event.kind for event in await kernel.history.events(job.id)]
    assert kinds.count(EventKind.STARTED) == 1


async def test_f07_a_claim_whose_answer_was_lost_is_given_back_by_its_own_worker(
    kernel: PostgresKernel, proxy: Proxy, place: Place
) -> None:
    """F07 with a worker that lives on: nobody else would rescue what it goes on renewing."""
    job = place.job("quick.sh")

    await kernel.queue.submit([job])
    proxy.lose_answer = once(kernel, job, EventKind.CLAIMED)
    async with place.node(proxy.url):
        after = await ended(kernel, job.id)
    assert proxy.lose_answer is None
    assert (after.state, after.attempt, after.fence) == (JobState.SUCCEEDED, 1, 2)
    first, second = await kernel.history.attempts(job.id)
    assert first.finished_at is not None
    assert first.ending is None
    assert second.ending is not None
    assert second.ending.outcome is Outcome.SUCCEEDED
    (back,) = [e for e in await kernel.history.events(job.id) if e.kind is EventKind.PUT_BACK]
    assert back.actor.startswith("worker ")


def ids(url: str) -> list[UUID]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM etl.job")]

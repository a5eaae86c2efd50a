"""A worker whose database is away, slow, silent, read-only, full of others, or has forgotten its claims."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest

from application.asking.inbox import Inbox
from application.ports.notifier import Notice, Reconnected, Subscription, Wanted, every
from domain.attempt import Outcome
from domain.errors import DatabaseUnavailable
from domain.event import EventKind
from domain.job import Job, JobState
from entrypoints.container import Container
from tests.builders import TERMS, a_worker, claim_of, report_of
from tests.contract.postgres_kernel import PostgresKernel
from tests.faults.node import LEASE, Place
from tests.faults.proxy import Proxy
from tests.faults.waiting import ended, eventually, until

END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()
"""


async def runs(place: Place, job: Job, fence: int = 1) -> None:
    """Returns once the program of this attempt says that it lives."""
    await eventually(lambda: place.marks(job.id, fence))


async def pass_a_lease() -> None:
    """Long enough for whatever a lease that is not renewed would bring."""
    await asyncio.sleep(LEASE + 1.5)


@pytest.mark.usefixtures("rescuing")
async def test_f15_f22_an_attempt_is_stopped_before_another_worker_may_begin_it_again(
    kernel: PostgresKernel, proxy: Proxy, place: Place, database_url: str
) -> None:
    """F15, F22: the database swallows what the first worker says. No overlap, no late report, and the
    worker goes on when the database answers again.
    """
    job = place.job(max_attempts=2)
    async with place.node(proxy.url, "deaf"):
        await kernel.queue.submit([job])
        await runs(place, job)
        proxy.swallow()
        async with place.node(database_url, "other"):
            await runs(place, job, 2)
            first_end = place.marks(job.id, 1)[-1][1]
            assert first_end < place.marks(job.id, 2)[0][1]
            proxy.pass_on()
            proxy.cut()
            await until(lambda: living(kernel, 2))
            place.gate.touch()
            after = await ended(kernel, job.id)
        assert (after.state, after.fence) == (JobState.SUCCEEDED, 2)
        first, second = await kernel.history.attempts(job.id)
        assert first.ending is not None
        assert first.ending.outcome is Outcome.LOST
        assert second.ending is not None
        assert place.marks(job.id, 1)[-1] == ("tick", first_end)
        again = place.job("quick.sh")
        await kernel.queue.submit([again])
        assert (await ended(kernel, again.id)).state is JobState.SUCCEEDED


@pytest.mark.usefixtures("rescuing")
async def test_f22_a_last_attempt_goes_on_through_the_silence_and_its_late_report_counts(
    kernel: PostgresKernel, proxy: Proxy, place: Place
) -> None:
    """F22: nobody else may begin it, so nobody stops it."""
    job = place.job()
    async with place.node(proxy.url):
        await kernel.queue.submit([job])
        await runs(place, job)
        proxy.swallow()
        await until(lambda: living(kernel, 0))
        place.gate.touch()
        await eventually(lambda: place.marks(job.id)[-1][0] == "end")
        proxy.pass_on()
        proxy.cut()
        after = await ended(kernel, job.id)
    assert (after.state, after.attempt) == (JobState.SUCCEEDED, 1)


async def living(kernel: PostgresKernel, count: int) -> bool:
    return len(await kernel.registry.list()) == count


@pytest.mark.usefixtures("rescuing")
async def test_f14_a_slow_database_costs_no_lease(kernel: PostgresKernel, proxy: Proxy, place: Place) -> None:
    """F14, at a tenth of its scale: 0.1 s a round trip with a lease of 6 s is 1 s with 60 s."""
    job = place.job(max_attempts=2)
    proxy.latency = 0.1
    async with place.node(proxy.url, lease=2 * LEASE):
        await kernel.queue.submit([job])
        await runs(place, job)
        await pass_a_lease()
        await pass_a_lease()
        place.gate.touch()
        after = await ended(kernel, job.id)
    assert (after.state, after.fence) == (JobState.SUCCEEDED, 1)


@pytest.mark.usefixtures("rescuing")
async def test_f13_an_exhausted_pool_costs_no_lease_and_is_told_in_time(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F13: renewals have a connection of their own."""
    job = place.job(max_attempts=2)
    async with place.node(database_url, pool=2) as node:
        await kernel.queue.submit([job])
        await runs(place, job)
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(node.database().transaction())
            async with asyncio.timeout(30):
                with pytest.raises(DatabaseUnavailable, match="in use"):
                    await node.queue().submit([place.job()])
            await pass_a_lease()
        place.gate.touch()
        after = await ended(kernel, job.id)
    assert (after.state, after.fence) == (JobState.SUCCEEDED, 1)


async def test_f12_a_primary_that_became_read_only_is_told_of_and_waited_for(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F12: after a failover the old primary still answers. Health is red, the worker does not crash, and
    its last attempt is reported when the database takes changes again.
    """
    job = place.job()
    async with place.node(database_url) as node:
        await kernel.queue.submit([job])
        await runs(place, job)
        assert await health(node) == "ok"
        set_read_only(database_url, "on")
        # The first question may meet a connection that was cut a moment ago.
        await until(lambda: says(node, "read-only"))
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            await node.queue().submit([place.job()])
        place.gate.touch()
        await eventually(lambda: place.marks(job.id)[-1][0] == "end")
        await pass_a_lease()
        set_read_only(database_url, "off")
        assert (await ended(kernel, job.id)).state is JobState.SUCCEEDED
        again = place.job("quick.sh")
        await kernel.queue.submit([again])
        assert (await ended(kernel, again.id)).state is JobState.SUCCEEDED
        assert await health(node) == "ok"


async def says(node: Container, words: str) -> bool:
    return words in await health(node)


async def health(node: Container) -> str:
    return (await node.health()())["database"]


def set_read_only(url: str, value: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(
            f'ALTER DATABASE "{connection.info.dbname}" SET default_transaction_read_only = {value}'
        )
        connection.execute(END_OTHERS)


FORGET = """
UPDATE etl.job_queue SET state = 'queued', attempt = 0, fence = 0, session_id = NULL, worker = NULL,
    claimed_at = NULL, attempt_started_at = NULL, started_at = NULL,
    due_at = now() + make_interval(secs => {wait});
DELETE FROM etl.attempt;
DELETE FROM etl.event;
"""


@asynccontextmanager
async def forgotten(
    kernel: PostgresKernel, place: Place, url: str, *, wait: float
) -> AsyncIterator[tuple[Job, Container]]:
    """A job that a worker runs, and a database that was put back to before the claim. It is the job's last
    attempt, which its supervisor would not stop for long.
    """
    job = place.job()
    async with place.node(url, last_lease=3600) as node:
        await kernel.queue.submit([job])
        await runs(place, job)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FORGET.format(wait=wait))
        yield job, node


async def test_f11_after_a_failover_that_lost_the_claim_the_tree_is_stopped_and_nothing_is_reported(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F11: the renewal answers without the holding."""
    async with forgotten(kernel, place, database_url, wait=3600) as (job, node):
        await until(lambda: frees_its_slots(node))
        assert place.marks(job.id)[-1][0] == "tick"
        assert [e.kind for e in await kernel.history.events(job.id)] == [EventKind.SUBMITTED]
        assert (await kernel.history.get(job.id)).state is JobState.QUEUED


async def test_f11_what_was_stopped_does_not_end_the_same_job_that_runs_elsewhere_under_the_same_fence(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F11: the database that lacks the claim gives the fence of that claim out again."""
    async with forgotten(kernel, place, database_url, wait=3600) as (job, node):
        other = a_worker()
        await kernel.registry.join(other, TERMS)
        await kernel.make_due(job.id)
        (again,) = await kernel.queue.claim(other.id, 1)
        assert again.fence == 1
        await kernel.queue.start([claim_of(again)])
        await until(lambda: frees_its_slots(node))
        assert (await kernel.history.get(job.id)).session_id == other.id
        (after,) = await kernel.queue.report([report_of(again)])
        assert after.state is JobState.SUCCEEDED


async def frees_its_slots(node: Container) -> bool:
    return bool(node.held().taken == 0)


@pytest.mark.usefixtures("rescuing")
async def test_f29_of_two_workers_with_one_name_only_the_lost_ones_jobs_are_taken(
    kernel: PostgresKernel, proxy: Proxy, place: Place, database_url: str
) -> None:
    """F29: the same host name and the same process number, as in two containers (procrastinate #1518)."""
    lost, kept = place.job(max_attempts=2, queue="lost"), place.job(max_attempts=2)
    async with place.node(proxy.url, "one"):
        await kernel.queue.submit([lost])
        await runs(place, lost)
        await kernel.queue.set_slots("default", 1)
        proxy.swallow()
        async with place.node(database_url, "two"):
            await kernel.queue.submit([kept])
            await runs(place, kept)
            names = {worker.name for worker in await kernel.registry.list()}
            assert len(names) == 1
            await runs(place, lost, 2)
            place.gate.touch()
            assert (await ended(kernel, kept.id)).fence == 1
            assert (await ended(kernel, lost.id)).fence == 2
        proxy.pass_on()
        proxy.cut()


class Deaf:
    """Notifier of which nothing ever arrives: LISTEN on a half-open connection."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def publish(self, *_: Notice) -> None: ...

    @asynccontextmanager
    async def subscribe(self, wanted: Wanted = every) -> AsyncIterator[Inbox]:
        yield Inbox(wanted)


async def test_f64_without_any_notice_jobs_are_claimed_and_cancelled_all_the_same(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F64: the poll finds the job, and the renewal the cancel."""
    job = place.job()
    async with place.node(database_url, notifier=Deaf()):
        await kernel.queue.submit([job])
        await runs(place, job)
        await kernel.queue.change(job.id, lambda job: job.cancel(datetime.now(UTC)), "bob")
        assert (await ended(kernel, job.id)).state is JobState.CANCELLED


async def test_f64_a_listener_whose_connection_was_ended_hears_again(
    kernel: PostgresKernel, place: Place, database_url: str
) -> None:
    """F64, healed: every connection of the worker is ended while a program runs."""
    job = place.job()
    async with place.node(database_url) as node, node.notifier().subscribe() as notices:
        await kernel.queue.submit([job])
        await runs(place, job)
        await notices.wait(0)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(END_OTHERS)
        await hears(notices, Reconnected())
        place.gate.touch()
        assert (await ended(kernel, job.id)).state is JobState.SUCCEEDED


async def hears(notices: Subscription, wanted: Notice) -> None:
    async with asyncio.timeout(60):
        while wanted not in await notices.wait(60):
            pass

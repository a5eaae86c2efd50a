"""Wake-ups survive the loss of their connections, and the loss is told to whoever listens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg

from adapters.postgres.notices import MAX_BYTES, parse, payloads
from adapters.postgres.notifier import PostgresNotifier
from application.ports.notifier import (
    CancelRequested,
    JobChanged,
    JobsWaiting,
    Notice,
    Reconnected,
    Subscription,
)
from tests.wakes import wakes_a_second

END_ALL = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()
"""


async def until(subscription: Subscription, wanted: Notice) -> None:
    async with asyncio.timeout(30):
        while wanted not in await subscription.wait(30):
            pass


async def test_after_its_connections_were_ended_it_says_so_and_goes_on(database_url: str) -> None:
    notifier = PostgresNotifier(database_url)
    await notifier.open()
    async with notifier.subscribe() as one, notifier.subscribe() as other:
        for _ in range(2):
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(END_ALL)
            await until(one, Reconnected())
            await until(other, Reconnected())
            job = JobChanged(uuid4())
            notifier.publish(job)
            await until(one, job)
            await until(other, job)
    await notifier.close()


async def test_it_opens_and_closes_twice_and_publishes_in_any_state(database_url: str) -> None:
    notifier = PostgresNotifier(database_url)
    notifier.publish(JobsWaiting("default"))
    await notifier.open()
    await notifier.open()
    await notifier.close()
    await notifier.close()
    notifier.publish(JobsWaiting("default"))


async def test_its_own_process_is_told_without_the_server() -> None:
    notifier, job = PostgresNotifier("postgresql://nobody@/nowhere"), JobChanged(uuid4())
    async with notifier.subscribe() as subscription:
        notifier.publish()
        notifier.publish(job)
        assert await subscription.wait(30) == {job}


async def test_its_own_process_is_told_once(database_url: str) -> None:
    own, other = PostgresNotifier(database_url), PostgresNotifier(database_url)
    await own.open()
    await other.open()
    job, answer = JobChanged(uuid4()), JobChanged(uuid4())
    async with own.subscribe() as mine, other.subscribe() as theirs:
        own.publish(job)
        await until(theirs, job)
        await until(mine, job)
        other.publish(answer)
        seen: list[Notice] = []
        async with asyncio.timeout(30):
            while answer not in seen:
                seen += await mine.wait(30)
        assert job not in seen
    await own.close()
    await other.close()


async def test_it_opens_although_the_server_is_away(tmp_path: object) -> None:
    notifier = PostgresNotifier(f"postgresql://etl@/postgres?host={tmp_path}")
    async with asyncio.timeout(30):
        await notifier.open()
    notifier.publish(JobsWaiting("default"))
    await notifier.close()


async def test_a_silent_connection_is_asked_whether_it_lives(database_url: str) -> None:
    notifier = PostgresNotifier(database_url, ping_seconds=0.05)
    await notifier.open()
    async with notifier.subscribe() as subscription:
        with psycopg.connect(database_url, autocommit=True) as connection:
            async with asyncio.timeout(30):
                while not connection.execute(  # noqa: ASYNC110 - the server tells nobody of it
                    "SELECT FROM pg_stat_activity WHERE query = 'SELECT 1' AND datname = current_database()"
                ).fetchall():
                    await asyncio.sleep(0.02)
        job = JobChanged(uuid4())
        notifier.publish(job)
        await until(subscription, job)
    await notifier.close()


def test_payloads_hold_every_notice_within_the_limit() -> None:
    notices: set[Notice] = {JobChanged(uuid4()) for _ in range(1000)}
    notices |= {CancelRequested(uuid4(), uuid4()), JobsWaiting("é" * 900), Reconnected()}
    made = list(payloads(notices))
    assert all(len(payload.encode()) <= MAX_BYTES for payload in made)
    assert frozenset().union(*(parse(payload) for payload in made)) == notices


def test_what_is_no_payload_of_ours_tells_to_look_at_all() -> None:
    for payload in ("", "[", "{}x", "[1]", '[["j"]]', '[["j", "no id"]]', '[["new-kind", "x"]]', "7"):
        assert parse(payload) == {Reconnected()}, payload
    assert set(payloads([JobsWaiting("q" * 9000)])) == {'[["r"]]'}


def test_who_listens_is_woken_by_notices_alone(database_url: str) -> None:
    """Twenty times a second as psycopg has it: it looks ten times whether somebody pressed Ctrl-C."""

    @asynccontextmanager
    async def listening() -> AsyncIterator[None]:
        notifier = PostgresNotifier(database_url)
        await notifier.open()
        yield
        await notifier.close()

    assert wakes_a_second(listening) < 6

"""The contract of Clock and Chance."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from adapters.system.clock import SystemChance, SystemClock
from application.ports.clock import Chance, Clock

CLOCK: Clock = SystemClock()
CHANCE: Chance = SystemChance()


def test_now_is_aware_and_in_utc() -> None:
    now = CLOCK.now()
    assert now.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)


async def test_elapsed_goes_on_and_is_never_set_back() -> None:
    readings = [CLOCK.elapsed() for _ in range(1000)]
    assert readings == sorted(readings)
    await asyncio.sleep(0.01)
    assert CLOCK.elapsed() > readings[0]


def test_ids_are_uuids_of_version_7_that_carry_their_time() -> None:
    made = CHANCE.new_id()
    assert (type(made), made.version, made.variant) == (UUID, 7, RFC_4122)
    milliseconds = int.from_bytes(made.bytes[:6])
    assert abs(milliseconds / 1000 - datetime.now(UTC).timestamp()) < 60


def test_ids_sort_in_the_order_in_which_they_were_made() -> None:
    ids = [CHANCE.new_id() for _ in range(10_000)]
    assert ids == sorted(ids)


def test_ids_of_20_rival_threads_never_repeat() -> None:
    barrier = threading.Barrier(20)

    def make(_: int) -> list[UUID]:
        barrier.wait()
        return [CHANCE.new_id() for _ in range(500)]

    with ThreadPoolExecutor(20) as threads:
        ids = [made for share in threads.map(make, range(20)) for made in share]
    assert len(set(ids)) == 10_000


def test_a_fraction_is_at_least_0_and_below_1() -> None:
    fractions = [CHANCE.fraction() for _ in range(1000)]
    assert all(0 <= fraction < 1 for fraction in fractions)
    assert len(set(fractions)) > 990


def test_a_secret_is_43_url_safe_characters_and_never_the_same() -> None:
    secrets = {CHANCE.secret() for _ in range(1000)}
    assert len(secrets) == 1000
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert all(len(secret) == 43 and set(secret) <= allowed for secret in secrets)

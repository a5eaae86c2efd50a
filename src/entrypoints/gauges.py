"""What of this process is looked at when its figures are asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from application.held_attempts import HeldAttempts
from application.ports.clock import Clock
from application.ports.meters import Gauge

Samples = Iterator[tuple[Mapping[str, str], float]]


class Pool(Protocol):
    """How busy one pool of database connections is."""

    @property
    def pool(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def in_use(self) -> int: ...
    @property
    def waiting(self) -> int: ...


def gauges_of(pools: Callable[[], Iterable[Pool]], held: HeldAttempts, clock: Clock) -> Sequence[Gauge]:
    """Slots and lease have samples only in a process that is a worker."""

    def is_worker() -> bool:
        return held.session_id is not None

    def slots() -> Samples:
        if is_worker():
            yield {}, held.slots

    def used() -> Samples:
        if is_worker():
            yield {}, held.used

    def lease() -> Samples:
        if is_worker():
            yield {}, max(0.0, clock.elapsed() - held.renewed_at)

    def of_pools(read: Callable[[Pool], int]) -> Callable[[], Samples]:
        return lambda: (({"pool": pool.pool}, read(pool)) for pool in pools())

    label = ("pool",)
    return (
        Gauge("etl_slots", "Attempts at once.", slots),
        Gauge("etl_slots_used", "Slots that are taken.", used),
        Gauge("etl_lease_age_seconds", "Since the lease was last renewed.", lease),
        Gauge("etl_database_pool_size", "Connections at most.", of_pools(lambda p: p.size), label),
        Gauge("etl_database_pool_in_use", "Connections in use.", of_pools(lambda p: p.in_use), label),
        Gauge("etl_database_pool_waiting", "Who waits for one.", of_pools(lambda p: p.waiting), label),
    )

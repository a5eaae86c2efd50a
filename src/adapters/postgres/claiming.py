"""Claiming: rows in index order, each to one session alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import limits, mapping
from adapters.postgres.candidates import CANDIDATES
from adapters.postgres.limits import Need
from adapters.postgres.mapping import columns
from domain.job import Job

ROUNDS: Final = 6
SPARE: Final = 32
"""Candidates beyond those that are wanted: as many as rivals may hold locked at this moment."""
WIDEST: Final = 4096
"""Of a crowd behind a full limit so many are parked in one statement, in some 50 ms."""

FOUND: Final = text(f"""
WITH RECURSIVE {CANDIDATES.format(session_id=":session_id", window=":window")}
SELECT found.job_id, found.queue, me.host, me.pid FROM me CROSS JOIN found ORDER BY found.place
""")  # noqa: S608 - a constant

LOCK: Final = text(f"""
SELECT {mapping.LIVE_JOB}, s.slots, clock_timestamp() AS now
FROM etl.job_queue q JOIN etl.queue s ON s.name = q.queue JOIN etl.job j ON j.id = q.job_id
WHERE q.job_id = ANY (CAST(:ids AS uuid[])) AND q.state = 'queued' AND s.paused_at IS NULL
    AND q.due_at <= statement_timestamp()
ORDER BY q.priority DESC, q.due_at, q.job_id LIMIT :wanted
FOR UPDATE OF q SKIP LOCKED
""")  # noqa: S608 - a constant

_CLAIM: Final = text("""
UPDATE etl.job_queue q SET state = 'running', fence = d.fence, attempt = d.attempt,
    session_id = :session_id, worker = :worker, claimed_at = :at
FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[]), CAST(:attempts AS int[]))
    AS d(job_id, fence, attempt)
WHERE q.job_id = d.job_id
""")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim took, and the limits on which it parked jobs."""

    jobs: tuple[Job, ...]
    parked_on: frozenset[str]


async def claim(connection: AsyncConnection, session_id: UUID, limit: int) -> Claimed:
    jobs: list[Job] = []
    parked_on: set[str] = set()
    for round_ in range(ROUNDS):
        wanted = limit - len(jobs)
        window = min((4 * wanted + SPARE) * 4**round_, WIDEST)
        found = await _candidates(connection, session_id, window)
        if not found:
            break
        rows = await _lock(connection, found, wanted)
        admitted, full = await _admit(connection, rows)
        taken = {job.id for job in admitted}
        await limits.park_rest(connection, [r.job_id for r in found if r.job_id not in taken], full)
        parked_on |= full.keys()
        jobs += await _give(connection, admitted, rows, session_id, f"{found[0].host}:{found[0].pid}")
        rest_is_locked = len(rows) < wanted and len(found) < window
        if len(jobs) == limit or rest_is_locked:
            break
    return Claimed(tuple(jobs), frozenset(parked_on))


async def _candidates(connection: AsyncConnection, session_id: UUID, window: int) -> Sequence[Any]:
    result = await connection.execute(FOUND, {"session_id": session_id, "window": window})
    return result.all()


async def _lock(connection: AsyncConnection, found: Sequence[Any], wanted: int) -> Sequence[Any]:
    """Locks the first `wanted` candidates that no rival holds, with the settings of their queues as
    they are once nobody can change them any more.
    """
    stable = await limits.shared(connection, [limits.queue_scope(row.queue) for row in found])
    ids = [row.job_id for row in found if limits.queue_scope(row.queue) in stable]
    return (await connection.execute(LOCK, {"ids": ids, "wanted": wanted})).all()


async def _admit(connection: AsyncConnection, rows: Sequence[Any]) -> tuple[list[Job], dict[str, int]]:
    wanted = [(job := mapping.job(row), limits.needs(job, row.slots)) for row in rows]
    if not any(needs for _, needs in wanted):
        return [job for job, _ in wanted], {}
    keys = {need.scope for _, needs in wanted for need in needs}
    stable = await limits.shared(connection, keys)
    return await limits.take(connection, [(j, n) for j, n in wanted if _all_in(n, stable)])


def _all_in(needs: tuple[Need, ...], scopes: set[str]) -> bool:
    return all(need.scope in scopes for need in needs)


async def _give(
    connection: AsyncConnection, jobs: Sequence[Job], rows: Sequence[Any], session_id: UUID, worker: str
) -> list[Job]:
    if not jobs:
        return []
    at: datetime = max(row.now for row in rows)
    after = [job.claimed(session_id, worker) for job in jobs]
    arrays = columns([(job.id, job.fence, job.attempt) for job in after], ("ids", "fences", "attempts"))
    given = {"session_id": session_id, "worker": worker, "at": at}
    await connection.execute(_CLAIM, {**arrays, **given})
    return after

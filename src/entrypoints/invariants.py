"""What the doctor says of the stored jobs, attempts, limits and logs; and how `--fix` mends it."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final
from uuid import UUID

from domain.errors import LogNotFound
from domain.invariant import Breach, Invariant
from domain.log import LogRef
from entrypoints.container import Container
from entrypoints.container.database import breaches, logs_expected, mending, without_job
from entrypoints.container.machine import logged_jobs
from entrypoints.finding import Finding
from entrypoints.from_settings import this_worker
from entrypoints.settings import Settings

LOOK_AGAIN_SECONDS: Final = 7.0
"""Maintenance wakes what missed its wake-up every five seconds: that is no breach."""

SHOWN: Final = 3
PIECE: Final = 1000
LOG_MISSING: Final = "Its log is not in logs.directory any more."

SEEN: Final = {
    Invariant.QUEUED_IF_LIVE: "that are not final and in no queue, so that nobody would ever run them",
    Invariant.FINAL_IF_GONE: "that are final and still in the queue",
    Invariant.LEASED_IF_RUNNING: "that run without a lease, so that nobody would ever call them lost",
    Invariant.RESCUED_IF_DEAD: "held by dead workers: no worker does maintenance",
    Invariant.COUNTED_IF_LIMITED: "for which a limit counts wrongly, so that it lets in too few or too many",
    Invariant.AWAKE_IF_FREE: "parked behind a limit that has room",
}
CURE: Final = {
    Invariant.QUEUED_IF_LIVE: "makes the row anew; they wait until nobody can run them any more.",
    Invariant.FINAL_IF_GONE: "removes the row; the end stands.",
    Invariant.LEASED_IF_RUNNING: "gives them a lease: who lives adopts them, the rest is lost when it ends.",
    Invariant.RESCUED_IF_DEAD: "ends them as lost now; start a worker, so that it is done for ever.",
    Invariant.COUNTED_IF_LIMITED: "counts the limit again.",
    Invariant.AWAKE_IF_FREE: "wakes them.",
}


async def examine_stored(
    container: Container, settings: Settings, *, fix: bool, pause: float
) -> Sequence[Finding]:
    """A finding for each invariant, and for logs. `pause`: before the second look at what the first saw."""
    suspected = await _seen_twice(container, pause)
    found = [await _invariant(container, settings, each, suspected, fix=fix) for each in Invariant]
    return [
        *found,
        await _logs_without_job(container, settings, fix=fix),
        await _attempts_without_log(container, settings, fix=fix),
    ]


async def _seen_twice(container: Container, pause: float) -> set[UUID]:
    first = set(await breaches(container.database()))
    if not first:
        return set()
    await asyncio.sleep(pause)
    return {breach.job_id for breach in first & set(await breaches(container.database()))}


async def _invariant(
    container: Container, settings: Settings, invariant: Invariant, suspected: set[UUID], *, fix: bool
) -> Finding:
    """Looks anew: what was mended before may have left this one, on the same jobs."""
    found = await _broken(container, invariant, suspected) if suspected else []
    if not found:
        return Finding(invariant, "holds")
    seen = f"{_named({breach.job_id for breach in found}, 'job')} {SEEN[invariant]}"
    if not fix:
        return Finding(invariant, seen, f"etl doctor --fix {CURE[invariant]}")
    mended = await mending(settings, container.database())(invariant, found)
    return Finding(invariant, f"{seen}: {mended} mended", fixed=True)


async def _broken(container: Container, invariant: Invariant, suspected: set[UUID]) -> list[Breach]:
    now = await breaches(container.database())
    return [each for each in now if each.invariant is invariant and each.job_id in suspected]


# -- logs -----------------------------------------------------------------------------------------------


async def _logs_without_job(container: Container, settings: Settings, *, fix: bool) -> Finding:
    """The directory is read before the database: a job is stored before its first byte of log."""
    lying = logged_jobs(settings.logs_directory)
    foreign: list[UUID] = []
    while piece := await asyncio.to_thread(_next, lying):
        foreign += await without_job(container.database(), piece)
    if not foreign:
        return Finding("logs", "each belongs to a job")
    seen = f"logs of {_named(foreign, 'job')} that this database does not know"
    if not fix:
        cure = "etl doctor --fix deletes them, if no other installation uses logs.directory."
        return Finding("logs", seen, cure)
    for job_id in foreign:
        await container.log_upkeep().prune(job_id)
    return Finding("logs", f"{seen}: deleted", fixed=True)


def _next(jobs: Iterator[UUID]) -> list[UUID]:
    return list(islice(jobs, PIECE))


async def _attempts_without_log(container: Container, settings: Settings, *, fix: bool) -> Finding:
    """Of this machine's latest attempts, as far as retention cannot have taken the log."""
    name = "logs of attempts"
    if settings.retention.logs_size is not None:
        return Finding(name, "not looked at: retention.logs_size may have deleted any")
    since = min(settings.retention.logs, settings.retention.jobs) / 2
    host = this_worker(settings).host
    expected = await logs_expected(container.database(), host, since, LOG_MISSING)
    missing = {ref: number for ref, number in expected.items() if not await _is_there(container, ref)}
    if not missing:
        return Finding(name, "are there")
    seen = f"{_named({ref.job_id for ref in missing}, 'job')} with an attempt whose log is missing"
    if not fix:
        return Finding(name, seen, "Bring it back from a backup, or etl doctor --fix notes it with the job.")
    for ref, number in missing.items():
        await mending(settings, container.database()).note(ref, number, LOG_MISSING)
    return Finding(name, f"{seen}: noted with the job", fixed=True)


async def _is_there(container: Container, ref: LogRef) -> bool:
    try:
        await container.logs().extent(ref)
    except LogNotFound:
        return False
    return True


def _named(ids: Sequence[UUID] | set[UUID], noun: str) -> str:
    """`2 jobs (…, …)`, the first ones by name."""
    some = ", ".join(str(each) for each in sorted(ids)[:SHOWN])
    more = ", …" if len(ids) > SHOWN else ""
    return f"{len(ids)} {noun}{'' if len(ids) == 1 else 's'} ({some}{more})"

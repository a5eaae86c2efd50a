"""Submitting jobs without a limit in one statement: the same rows as submitting.py writes.

Jobs go as one JSON document: a document costs the client 2 µs a job, an array for each of fourteen
columns 12 µs each.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

import msgspec

from adapters.postgres.engine import Database
from adapters.postgres.mapping import array, document
from application.asking.batching import CALLERS_PATIENCE, Batch
from application.ports.job_queue import Idempotency
from domain.errors import EtlError
from domain.job import Job

_STANDING: Final = """(
    SELECT count(*) = cardinality(%(keys)s::uuid[]) FROM etl.api_key
    WHERE id = ANY (%(keys)s::uuid[]) AND revoked_at IS NULL)"""
_ASKED: Final = f"""asked AS MATERIALIZED (
    INSERT INTO etl.idempotency (owner, key, digest, job_ids)
    SELECT %(owner)s::text, %(key)s::text, %(digest)s::bytea, %(job_ids)s::uuid[]
    WHERE {_STANDING} ON CONFLICT (owner, key) DO NOTHING RETURNING true
), """


def _statement(condition: LiteralString, before: LiteralString = "") -> LiteralString:
    # coalesce(… IN …): see submitting.py. test_quick_paths.py compares both paths row by row.
    return f"""
WITH {before}d AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(jobs)s::json) AS d(
        id uuid, spec json, queue text, script text, labels jsonb, submitted_at timestamptz,
        submitted_by text, retry_of uuid, priority smallint, max_attempts int, not_before timestamptz,
        expires_at timestamptz)
    WHERE {condition}
), named AS (
    INSERT INTO etl.queue (name)
    SELECT n.queue FROM (SELECT DISTINCT queue FROM d) n
    WHERE NOT EXISTS (SELECT FROM etl.queue s WHERE s.name = n.queue)
    ORDER BY n.queue ON CONFLICT DO NOTHING
), new AS (
    INSERT INTO etl.job (id, spec, queue, script, labels, submitted_at, submitted_by, retry_of)
    SELECT id, spec, queue, script, labels, submitted_at, submitted_by, retry_of
    FROM d ON CONFLICT (id) DO NOTHING RETURNING id
)
INSERT INTO etl.job_queue (job_id, queue, priority, due_at, state, attempt, max_attempts, fence,
    submitted_at, not_before, expires_at)
SELECT d.id, d.queue, d.priority, coalesce(d.not_before, least(d.submitted_at, statement_timestamp())),
    'queued', 0, d.max_attempts, 0, d.submitted_at, d.not_before, d.expires_at
FROM d WHERE coalesce(d.id IN (SELECT id FROM new), false)
RETURNING job_id
"""  # noqa: S608 - of constants


_SUBMIT: Final = _statement(_STANDING)
_SUBMIT_ONCE: Final = _statement("EXISTS (SELECT FROM asked)", _ASKED)
"""Two, because a part of a statement costs PostgreSQL time even where it does nothing."""


def is_quick(jobs: Sequence[Job]) -> bool:
    """Units of limits are made under a lock of their own, which is submitting.py's work."""
    return bool(jobs) and all(job.spec.concurrency is None for job in jobs)


async def submit(
    database: Database, jobs: Sequence[Job], idempotency: Idempotency | None, key_id: UUID | None
) -> bool:
    """False where the API key does not stand, or a job or its idempotency key came before: what to answer
    then is submitting.py's.
    """
    keys = {key_id} if key_id is not None else set()
    return len(await _submitted(database, jobs, keys, idempotency)) == len(jobs)


async def _submitted(
    database: Database, jobs: Sequence[Job], keys: Collection[UUID], idempotency: Idempotency | None = None
) -> list[Any]:
    """The rows of the new ones' ids: none of them unless all of the API keys stand."""
    given = {"keys": array(keys), "jobs": document([_row(job) for job in jobs])}
    if idempotency is None:
        return await database.at_once(_SUBMIT, given)
    return await database.at_once(_SUBMIT_ONCE, given | _request(idempotency, jobs))


class Gathered:
    """Lone jobs without an idempotency key that come while another is being submitted share their next
    statement: one transaction, and each caller hears of its own job alone. Who comes while there is
    nobody else asks by themselves: sharing takes a task and two turns of the event loop.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._callers = 0
        self._batch: Batch[tuple[Job, UUID | None], bool] = Batch(self._submit, CALLERS_PATIENCE)

    async def __call__(self, job: Job, key_id: UUID | None) -> bool:
        """As `submit`."""
        self._callers += 1
        try:
            if self._callers == 1:
                return await submit(self._database, [job], None, key_id)
            return await self._batch((job, key_id))
        finally:
            self._callers -= 1

    async def _submit(self, asked: Sequence[tuple[Job, UUID | None]]) -> Sequence[bool | Exception]:
        jobs = [job for job, _ in asked]
        keys = {key_id for _, key_id in asked if key_id is not None}
        try:
            new = {row.job_id for row in await _submitted(self._database, jobs, keys)}
        except EtlError:
            raise  # the database is away, for each of them
        except Exception:  # noqa: BLE001 - whatever it is about one job that spoils it for all
            return [await self._alone(*each) for each in asked]
        return [job.id in new for job in jobs]

    async def _alone(self, job: Job, key_id: UUID | None) -> bool | Exception:
        try:
            return await submit(self._database, [job], None, key_id)
        except Exception as error:  # noqa: BLE001 - it is handed to the one caller
            return error


def _request(idempotency: Idempotency, jobs: Sequence[Job]) -> dict[str, Any]:
    owner, key, digest = idempotency.owner, idempotency.key, idempotency.digest
    return {"owner": owner, "key": key, "digest": digest, "job_ids": [job.id for job in jobs]}


def _row(job: Job) -> dict[str, Any]:
    spec = job.spec
    return {
        "id": job.id,
        "spec": msgspec.Raw(msgspec.json.encode(spec)),
        "queue": spec.queue,
        "script": spec.command.script,
        "labels": spec.labels,
        "submitted_at": job.submitted_at,
        "submitted_by": job.submitted_by,
        "retry_of": job.retry_of,
        "priority": spec.priority,
        "max_attempts": spec.retry.max_attempts,
        "not_before": job.not_before,
        "expires_at": spec.expires_at,
    }

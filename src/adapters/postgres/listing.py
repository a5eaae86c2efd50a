"""The query of one page of jobs: newest first, by the id, at the same cost at any depth."""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from adapters.postgres import mapping
from application.ports.job_history import JobFilter
from domain.job import FINAL

_PAGE: Final = """
SELECT {columns} FROM {jobs} JOIN ({ids}) page ON page.id = j.id
ORDER BY j.id DESC LIMIT :limit
"""
_ANY: Final = "SELECT j.id FROM etl.job j WHERE true {where} ORDER BY j.id DESC LIMIT :limit"
_FINAL: Final = """(
SELECT j.id FROM etl.job_end e JOIN etl.job j ON j.id = e.job_id
WHERE e.final_state = '{state}' {reached} {where} ORDER BY e.job_id DESC LIMIT :limit)"""
# Live jobs are few: found from their own table, not by walking back through a million final ones.
_LIVE: Final = """(
SELECT j.id FROM etl.job_queue q JOIN etl.job j ON j.id = q.job_id
WHERE {live} {where} ORDER BY q.job_id DESC LIMIT :limit)"""
# Equal ids are not enough for the planner to start this table's index where the other's page starts.
_REACHED: Final = "AND e.job_id < :before"


def query(matching: JobFilter, before: UUID | None, limit: int) -> tuple[str, dict[str, Any]]:
    """One page. Each state is a branch with its own index and its own LIMIT."""
    values = dict(_values(matching, before)) | {"limit": limit}
    where = " ".join(f"AND {condition}" for condition in _conditions(matching, before))
    if not matching.states:
        return _PAGE.format(columns=mapping.JOB, jobs=mapping.ALL_JOBS, ids=_ANY.format(where=where)), values
    reached = _REACHED if before is not None else ""
    ids = " UNION ALL ".join(_branches(matching, where, reached))
    return _PAGE.format(columns=mapping.JOB, jobs=mapping.ALL_JOBS, ids=ids), values


def _branches(matching: JobFilter, where: str, reached: str) -> Iterator[str]:
    for state in dict.fromkeys(matching.states):
        if state in FINAL:
            yield _FINAL.format(state=state.value, where=where, reached=reached)
        else:
            live = "q.state = 'running'" if state == "running" else "q.state <> 'running'"
            yield _LIVE.format(live=live, where=where)


def _conditions(matching: JobFilter, before: UUID | None) -> Iterator[str]:
    if before is not None:
        yield "j.id < :before"
    if matching.queue is not None:
        yield "j.queue = :queue"
    if matching.script is not None:
        yield "j.script = :script"
    if len(set(matching.labels)) > len(dict(matching.labels)):
        yield "false"  # no job has two values under one name
    if matching.labels:
        yield "j.labels @> CAST(:labels AS jsonb) AND j.labels <> '{}'"
    if matching.submitted_after is not None:
        yield "j.submitted_at > :submitted_after"
    if matching.submitted_before is not None:
        yield "j.submitted_at < :submitted_before"


def _values(matching: JobFilter, before: UUID | None) -> Iterator[tuple[str, Any]]:
    given = {
        "before": before,
        "queue": matching.queue,
        "script": matching.script,
        "labels": mapping.document(dict(matching.labels)) if matching.labels else None,
        "submitted_after": matching.submitted_after,
        "submitted_before": matching.submitted_before,
    }
    return ((name, value) for name, value in given.items() if value is not None)

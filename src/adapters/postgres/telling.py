"""The events of a job: those that its rows tell by themselves, and those that were written down."""

from typing import Final

from sqlalchemy import text

from adapters.postgres import mapping

# A row that names an instant and an actor is an event; to write it twice cost a third of a job. Where an
# attempt changed hands, what its row told before was written down, and that goes before what it tells now.
# The submit's clock is another machine's, so it and the claims stand first by their nature; all other
# instants of one claim are the database's.
EVENTS: Final = text(f"""
WITH tried AS ({mapping.ATTEMPTS}), told AS (
    SELECT submitted_at AS at, 'submitted' AS kind, submitted_by AS actor, 0 AS attempt, 0 AS fence,
        NULL AS detail FROM etl.job WHERE id = :id
    UNION ALL
    SELECT claimed_at, 'claimed', 'worker ' || worker, number, fence, NULL FROM tried
    UNION ALL
    SELECT started_at, 'started', 'worker ' || worker, number, fence, NULL
    FROM tried WHERE started_at IS NOT NULL
    UNION ALL
    SELECT finished_at, 'succeeded', 'worker ' || worker, number, fence, ending -> 'reason' ->> 'message'
    FROM tried WHERE ending ->> 'outcome' = 'succeeded'
), written AS (
    SELECT at, kind, actor, attempt, fence, detail, number FROM etl.event WHERE job_id = :id
)
SELECT CAST(:id AS uuid) AS job_id, at, kind, actor, attempt, fence, detail FROM (
    SELECT *, 0 AS number FROM told WHERE NOT EXISTS (
        SELECT FROM written w WHERE w.fence = told.fence AND w.kind = told.kind)
    UNION ALL
    SELECT * FROM written
) every
ORDER BY fence, kind <> 'submitted', kind <> 'claimed', at, number
""")  # noqa: S608 - a constant

"""Who keeps the server from forgetting dead rows: the first thing to ask when claims become slow.

One transaction of any client that stays open for a minute under full load cost five claims of six:
dead rows pile up at the head of the index that claims read, and no vacuum may take them away.
"""

from typing import Any, Final

from sqlalchemy import text

from adapters.postgres.engine import Database
from domain.horizon import HorizonHolder

_OLDEST: Final = text("""
SELECT pid, application_name, coalesce(state, backend_type) AS state,
    extract(epoch FROM clock_timestamp() - coalesce(xact_start, backend_start))::float8 AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    AND pid <> pg_backend_pid()
ORDER BY age(coalesce(backend_xmin, backend_xid)) DESC, seconds DESC LIMIT 1
""")


async def horizon_holder(database: Database) -> HorizonHolder | None:
    """None where no other client has a transaction open. Shows other users' only to `pg_monitor`."""

    async def work(connection: Any) -> HorizonHolder | None:
        row = (await connection.execute(_OLDEST)).first()
        return None if row is None else HorizonHolder(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

    return await database.run(work)

"""Whether the schema is still what this program needs: asked often, so by the pool."""

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.engine import Database
from adapters.postgres.migrate import IS_THERE, VERSION, known_revisions
from domain.errors import Unavailable


async def require_schema(database: Database) -> None:
    """Raises Unavailable where migrations are missing. A newer schema passes: the start decided on that."""
    current = await database.run(_version)
    known = known_revisions()
    if current is None or current in known[:-1]:
        missing = len(known) if current is None else len(known) - 1 - known.index(current)
        raise Unavailable(f"The database's schema is {missing} migrations behind: run `etl migrate`.")


async def _version(connection: AsyncConnection) -> str | None:
    """None where nothing was ever migrated, or the table is empty."""
    if not (await connection.execute(IS_THERE)).scalar_one():
        return None
    return (await connection.execute(VERSION)).scalar()

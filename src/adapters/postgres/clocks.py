"""How far this machine's wall clock is from the database's."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import text

from adapters.postgres.engine import Database

_CLOCK: Final = text("SELECT clock_timestamp() AS at")


async def seconds_ahead(database: Database) -> float:
    """Right to half of the round trip: the answer is compared with the middle between asking and hearing."""
    async with database.transaction() as connection:
        await connection.execute(_CLOCK)  # the first one also opens the connection
        asked = datetime.now(UTC)
        theirs: datetime = (await connection.execute(_CLOCK)).scalar_one()
        heard = datetime.now(UTC)
    middle = asked + (heard - asked) / 2
    return (middle - theirs) / timedelta(seconds=1)

"""Whether this server keeps what it has committed. Asked once, at a start, before anything is accepted."""

from typing import Final

import psycopg

from adapters.postgres.connecting import PatientConnection, conninfo, require_utf8
from adapters.postgres.failures import told_in_our_words
from domain.errors import DatabaseNotDurable

NEEDED: Final = ("fsync", "full_page_writes")
"""Off, a crash of the machine may lose or garble any page, and with it the whole database."""

WANTED: Final = "synchronous_commit"
"""Off, a crash loses at most the last moments: jobs whose submit was answered, but nothing is garbled."""

_SETTINGS: Final = "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)"


async def require_durable(url: str) -> tuple[str, ...]:
    """What an operator should be warned of. Raises DatabaseNotDurable where no promise could be kept, and
    WrongSetting where not every job could be stored.
    """
    settings = await _settings(url)
    if off := [name for name in NEEDED if settings.get(name) == "off"]:
        raise DatabaseNotDurable(
            f"The database runs with {' and '.join(f'{name} = off' for name in off)}: a crash of its machine "
            "would lose accepted jobs. Turn it on (ALTER SYSTEM, then reload), or use another database."
        )
    if settings.get(WANTED) == "off":
        return (f"{WANTED} is off: a crash of the database loses the jobs of its last moments.",)
    return ()


async def _settings(url: str) -> dict[str, str]:
    with told_in_our_words():
        connection = await PatientConnection.connect(conninfo(url), autocommit=True)
        async with connection:
            require_utf8(connection.info)
            return await _asked(connection)


async def _asked(connection: psycopg.AsyncConnection[tuple[str, str]]) -> dict[str, str]:
    return dict(await (await connection.execute(_SETTINGS, ([*NEEDED, WANTED],))).fetchall())

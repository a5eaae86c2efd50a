"""What must not be lost is asked again until the database has answered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from domain.errors import DatabaseUnavailable

Answer = TypeVar("Answer")

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0


async def until_answered(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Asks again, with pauses that grow to `LONGEST_PAUSE_SECONDS`, while the database is away.

    For calls that do no harm when repeated: an answer may be lost after the commit.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return await ask()
        except DatabaseUnavailable:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

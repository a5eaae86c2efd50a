"""Is everything there that this process needs?"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.errors import EtlError

LIMIT_SECONDS: Final = 2.0


@dataclass(slots=True)
class CheckHealth:
    """Runs every check at once; a check passes by returning, and fails with an EtlError or by being slow.

    One that still looks is not begun again: who asks every few seconds after a disk that hangs would
    else take a thread and a connection each time, until the whole process hangs.
    """

    checks: Mapping[str, Callable[[], Awaitable[None]]]
    _looks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def __call__(self) -> Mapping[str, str]:
        """What each check says: `ok`, or what is wrong in a sentence."""
        said = await asyncio.gather(*(self._said(name) for name in self.checks))
        return dict(zip(self.checks, said, strict=True))

    async def _said(self, name: str) -> str:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await asyncio.shield(self._look(name))
        except EtlError as error:
            return error.detail
        except TimeoutError:
            return f"No answer within {LIMIT_SECONDS:g} s."
        return "ok"

    def _look(self, name: str) -> asyncio.Task[None]:
        look = self._looks.get(name)
        if look is None or look.done():
            look = self._looks[name] = asyncio.create_task(_done(self.checks[name]), name=f"check-{name}")
            look.add_done_callback(_seen)
        return look


async def _done(check: Callable[[], Awaitable[None]]) -> None:
    await check()


def _seen(look: asyncio.Task[None]) -> None:
    """Nobody may be left who waits for it."""
    if not look.cancelled():
        look.exception()

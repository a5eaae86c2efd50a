"""Is everything there that this process needs?"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from domain.errors import EtlError

LIMIT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Runs every check at once; a check passes by returning, and fails with an EtlError or by being slow."""

    checks: Mapping[str, Callable[[], Awaitable[None]]]

    async def __call__(self) -> Mapping[str, str]:
        """What each check says: `ok`, or what is wrong in a sentence."""
        said = await asyncio.gather(*(_said(check) for check in self.checks.values()))
        return dict(zip(self.checks, said, strict=True))


async def _said(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await check()
    except EtlError as error:
        return error.detail
    except TimeoutError:
        return f"No answer within {LIMIT_SECONDS:g} s."
    return "ok"

"""A server that stops: what waits for something answers with what there is."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

from entrypoints.http.operation import HttpRequest

T = TypeVar("T")

EXTENSION: Final = "etl.closing"
"""Where the server puts the event into the ASGI scope (server.py)."""


def closing_of(request: HttpRequest) -> asyncio.Event:
    """Set when the server begins to stop; never set under a server that does not tell."""
    found = (cast("dict[str, Any]", request.scope).get("extensions") or {}).get(EXTENSION)
    return found if isinstance(found, asyncio.Event) else asyncio.Event()


async def before_closing(request: HttpRequest, waiting: Coroutine[Any, Any, T]) -> T | None:
    """The result, or None as soon as the server stops or the client has gone."""
    wanted = asyncio.ensure_future(waiting)
    others = [asyncio.ensure_future(closing_of(request).wait()), asyncio.ensure_future(_gone(request))]
    try:
        await asyncio.wait([wanted, *others], return_when=asyncio.FIRST_COMPLETED)
        return wanted.result() if wanted.done() else None
    finally:
        for task in (wanted, *others):
            task.cancel()
        await asyncio.gather(wanted, *others, return_exceptions=True)


async def _gone(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

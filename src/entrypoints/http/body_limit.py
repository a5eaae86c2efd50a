"""Bodies that say nothing of their length, or lie, or never end."""

import asyncio

from litestar.types import Receive
from litestar.types.asgi_types import ReceiveMessage

from entrypoints.http.config import HttpConfig
from entrypoints.http.doors import too_large
from entrypoints.http.refusals import BodyTooSlow


def limited(receive: Receive, config: HttpConfig) -> Receive:
    """`receive`, which raises BodyTooLarge at the byte too many, and BodyTooSlow when time is up.

    Once the body is there it waits as long as anybody wants: for the client to go.
    """
    size, whole, until = 0, False, asyncio.get_running_loop().time() + config.body_seconds

    async def receiving() -> ReceiveMessage:
        nonlocal size, whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise BodyTooSlow(f"The body did not arrive within {config.body_seconds:g} s.") from None
        if message["type"] == "http.request":
            size += len(message["body"])
            whole = not message["more_body"]
        if size > config.max_body:
            raise too_large(config)
        return message

    return receiving

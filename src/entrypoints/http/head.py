"""HEAD: the headers of a GET, and no body (RFC 9110, 9.3.2)."""

import asyncio
from dataclasses import dataclass, field

from litestar.types import Message, Receive, Send
from litestar.types.asgi_types import ReceiveMessage


@dataclass(frozen=True, slots=True)
class Head:
    """One HEAD. It ends behind its headers: to the handler the client has gone then, so that a log is
    not read to its end for nothing.
    """

    receive: Receive
    send: Send
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def receiving(self) -> ReceiveMessage:
        coming, ended = asyncio.ensure_future(self.receive()), asyncio.ensure_future(self.answered.wait())
        try:
            await asyncio.wait([coming, ended], return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else {"type": "http.disconnect"}
        finally:
            coming.cancel()
            ended.cancel()

    async def sending(self, message: Message) -> None:
        if self.answered.is_set():
            return
        await self.send(message)
        if message["type"] == "http.response.start":
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
            self.answered.set()

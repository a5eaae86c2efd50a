"""The worker's handle on one attempt."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from adapters.process.run_directory import exit_from
from adapters.process.supervisor.channel import Channel
from domain.attempt import Exit, Stop
from domain.log import LogRef

Learn = Callable[["SupervisedProcess"], Awaitable[None]]
Forget = Callable[["SupervisedProcess"], Awaitable[None]]

_DISMISSAL_SECONDS: Final = 5.0


class SupervisedProcess:
    """RunningProcess: fed by the control connection, and by `learn` when that ends without a result."""

    def __init__(self, ref: LogRef, learn: Learn, forget: Forget) -> None:
        self._ref = ref
        self._learn = learn
        self._forget = forget
        self._control: Channel | None = None
        self._stopped: Stop | None = None
        self._learning: asyncio.Future[None] | None = None
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Exit] = loop.create_future()
        self._dismissed: asyncio.Future[bool] = loop.create_future()

    @property
    def ref(self) -> LogRef:
        return self._ref

    async def wait(self) -> Exit:
        return await asyncio.shield(self._ended)

    def stop(self, why: Stop = Stop.CANCEL) -> None:
        self._stopped = why
        self._tell({"stop": why.value})

    def extend(self, deadline: float) -> None:
        self._tell({"deadline_ns": int(deadline * 1e9)})

    async def forget(self) -> None:
        await self._forget(self)

    async def dismissed(self) -> bool:
        """Whether its supervisor has removed the attempt's files; False where there is none to ask."""
        if self._control is None:
            return False
        self._tell({"forget": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISMISSAL_SECONDS):
                return await self._dismissed
        return False

    # -- the runner's side ---------------------------------------------------------------------------

    def follow(self, control: socket.socket) -> None:
        self._control = Channel(control)
        # By its number: asyncio looks up a socket itself by what it prints, at two system calls each.
        asyncio.get_running_loop().add_reader(control.fileno(), self._hear)
        if self._stopped is not None:  # on a connection that ended before anybody read it, perhaps
            self.stop(self._stopped)

    def end(self, exit_: Exit) -> None:
        """The end of an attempt that has no supervisor any more."""
        self._hang_up()
        if not self._ended.done():
            self._ended.set_result(exit_)

    def let_go(self) -> None:
        """Nobody will learn the end here: who waits is cancelled."""
        self._hang_up()
        if self._learning is not None:
            self._learning.cancel()
        self._ended.cancel()

    def _hear(self) -> None:
        assert self._control is not None  # noqa: S101 - its own reader
        messages = self._control.receive()
        if messages is None:
            self._hang_up()
            if not self._ended.done():
                self._learning = asyncio.ensure_future(self._learn(self))
            return
        for message in messages:
            if "forgotten" in message:
                self._settle(forgotten=True)
            elif not self._ended.done():
                self._ended.set_result(exit_from(message["exit"]))

    def _tell(self, message: dict[str, Any]) -> None:
        if self._control is not None:
            self._control.send(message)

    def _settle(self, *, forgotten: bool) -> None:
        if not self._dismissed.done():
            self._dismissed.set_result(forgotten)

    def _hang_up(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        self._settle(forgotten=False)

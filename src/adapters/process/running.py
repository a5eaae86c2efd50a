"""The worker's handle on one attempt."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.process.run_directory import exit_from
from adapters.process.supervisor.channel import Channel
from domain.attempt import Exit, Stop
from domain.log import LogRef

Learn = Callable[["SupervisedProcess"], Awaitable[None]]
Forget = Callable[["SupervisedProcess"], Awaitable[None]]


class SupervisedProcess:
    """RunningProcess: fed by the control connection, and by `learn` when that ends without a result."""

    def __init__(self, ref: LogRef, learn: Learn, forget: Forget) -> None:
        self._ref = ref
        self._learn = learn
        self._forget = forget
        self._control: Channel | None = None
        self._learning: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    @property
    def ref(self) -> LogRef:
        return self._ref

    async def wait(self) -> Exit:
        return await asyncio.shield(self._ended)

    def stop(self, why: Stop = Stop.CANCEL) -> None:
        self._tell({"stop": why.value})

    def extend(self, deadline: float) -> None:
        self._tell({"deadline_ns": int(deadline * 1e9)})

    async def forget(self) -> None:
        await self._forget(self)

    # -- the runner's side ---------------------------------------------------------------------------

    def follow(self, control: socket.socket) -> None:
        self._control = Channel(control)
        asyncio.get_running_loop().add_reader(control, self._hear)

    def end(self, exit_: Exit) -> None:
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
            self._learning = asyncio.ensure_future(self._learn(self))
            return
        for message in messages:
            self.end(exit_from(message["exit"]))

    def _tell(self, message: dict[str, Any]) -> None:
        if self._control is not None:
            self._control.send(message)

    def _hang_up(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.socket)
            self._control.close()
            self._control = None

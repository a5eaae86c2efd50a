"""Maintenance: small duties at their own pace, most of them done by one leader of all workers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from application.ports.clock import Clock
from application.ports.leadership import Leadership
from domain.errors import DatabaseUnavailable
from entrypoints.telemetry import Outage

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Duty:
    """`work` returns how much it did. Doing it twice, or in two places at once, does no harm.

    `full` is the most that it does at a time: then some may be left over, and it is done again at the next
    tick. (500 jobs a minute, and history would grow for ever where more than eight a second end.)
    """

    name: str
    every_seconds: float
    work: Callable[[], Awaitable[int]]
    full: int | None = None


class Maintenance:
    """Campaigns to be the leader, and does what is due while it is. Without `leadership` the duties
    are this machine's own: every worker does them.
    """

    def __init__(
        self, duties: Sequence[Duty], leadership: Leadership | None, clock: Clock, tick_seconds: float
    ) -> None:
        self._duties = duties
        self._leadership = leadership
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._due = dict.fromkeys((duty.name for duty in duties), 0.0)
        self._outage = Outage("maintenance")
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="maintenance")

    async def stop(self) -> None:
        """May be called again."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        self._loop = None
        if self._leadership is not None:
            await self._leadership.resign()

    async def _run(self) -> None:
        while True:
            if self._leadership is None or await self._leadership.campaign():
                await self._do_what_is_due()
            await asyncio.sleep(self._tick_seconds)

    async def _do_what_is_due(self) -> None:
        for duty in self._duties:
            if self._clock.elapsed() >= self._due[duty.name]:
                began = self._clock.elapsed()
                done = await self._do(duty)
                self._due[duty.name] = began + (0.0 if done == duty.full else duty.every_seconds)

    async def _do(self, duty: Duty) -> int:
        try:
            done = await duty.work()
            self._outage.ended()
        except DatabaseUnavailable:
            self._outage.began()
            return 0
        except Exception:
            log.exception("duty_failed", duty=duty.name)  # the other duties go on
            return 0
        if done:
            log.info("duty_done", duty=duty.name, count=done)
        return done

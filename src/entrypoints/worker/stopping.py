"""How a worker stops: what its signal means for the attempts that run (`worker.on_stop`)."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from entrypoints.settings.schema import OnStop
from entrypoints.worker.loop import WorkerLoop

log = structlog.get_logger()


async def let_end(loop: WorkerLoop, on_stop: OnStop, drain_seconds: float, at_once: asyncio.Event) -> None:
    """Claims no more, and returns when `loop.stop` may let go of what is left.

    `hand_over`: at once. `wait`: when all has ended, or after `drain_seconds`, when the rest is stopped.
    `stop`: when all was stopped. In any case as soon as `at_once` is set.
    """
    log.info("worker_stopping", on_stop=on_stop)
    loop.drain()
    if on_stop == "hand_over":
        return
    if on_stop == "wait" and await _either(loop.drained(), at_once, drain_seconds):
        return
    loop.stop_programs()
    await _either(loop.drained(), at_once, None)


async def _either(ended: Coroutine[Any, Any, None], at_once: asyncio.Event, seconds: float | None) -> bool:
    """False where the time was up first."""
    waits = [asyncio.create_task(ended), asyncio.create_task(at_once.wait())]
    done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    return bool(done)

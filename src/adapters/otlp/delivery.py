"""Sending to a collector that may be slow or away: never in the way, and told once."""

import asyncio
import logging
from collections.abc import Callable
from threading import Lock
from typing import Final, TypeVar

import structlog
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from application.asking.own_thread import in_own_thread

Answer = TypeVar("Answer")
LAST_WORD_SECONDS: Final = 2.0

# Each exporter tells each try and each failure, with the collector's address; Delivery tells them once.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

_log = structlog.get_logger("otlp")


class Delivery:
    """What became of the latest try, told when it changes. Called from any thread."""

    def __init__(self, signal: str) -> None:
        self._signal = signal
        self._is_down = False
        self._lock = Lock()

    def done(self, *, well: bool) -> None:
        with self._lock:
            changed, self._is_down = self._is_down is well, not well
        if changed and well:
            _log.info("otlp_back", signal=self._signal)
        elif changed:
            _log.warning("otlp_unavailable", signal=self._signal)


async def aside(work: Callable[[], Answer], seconds: float) -> Answer:
    """The answer of `work`, from a thread of its own. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        return await asyncio.shield(asyncio.wrap_future(in_own_thread("otlp", work)))


def resource(version: str, instance: str) -> Resource:
    """Who we are; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word."""
    ours = {
        "service.name": "etl-orchestrator",
        "service.version": version,
        "service.instance.id": instance,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
    }
    return Resource(ours).merge(OTELResourceDetector().detect())

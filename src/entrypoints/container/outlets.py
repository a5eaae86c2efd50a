"""Where traces and figures go, besides /metrics. What is off is not imported."""

import os
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from prometheus_client import Metric

from adapters.system.tracer import NoTracer
from application.ports.tracer import Tracer
from entrypoints.otel import wanted
from entrypoints.version import VERSION


class Outlet(Protocol):
    """Sends by itself between `open` and `close`."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


def tracer_of() -> Tracer:
    """By the OTEL_* environment. Raises WrongSetting."""
    if not wanted(os.environ).traces:
        return NoTracer()
    from adapters.otlp.delivery import resource  # noqa: PLC0415 - as above
    from adapters.otlp.tracer import OtlpTracer  # noqa: PLC0415 - as above

    return OtlpTracer(resource(VERSION, _instance()))


def figures_of(read: Callable[[], Awaitable[Iterable[Metric]]]) -> Outlet | None:
    """None where nobody wants them. Raises WrongSetting."""
    if not wanted(os.environ).metrics:
        return None
    from adapters.otlp.delivery import resource  # noqa: PLC0415 - as above
    from adapters.otlp.figures import OtlpFigures  # noqa: PLC0415 - as above

    return OtlpFigures(resource(VERSION, _instance()), read)


def _instance() -> str:
    """As workers are named."""
    return f"{socket.gethostname()}:{os.getpid()}"

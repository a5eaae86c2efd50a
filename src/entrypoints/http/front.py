"""Around the finished application: what must hold for every answer, those of the router included.

Litestar's own middleware never sees its 404 and 405.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import structlog
from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from application.ports.meters import Meters
from domain.errors import EtlError
from entrypoints.http.body_limit import limited
from entrypoints.http.config import HttpConfig
from entrypoints.http.cors import answer_preflight, is_preflight, mark
from entrypoints.http.doors import Doors
from entrypoints.http.problems import send_problem
from entrypoints.http.refusals import InternalError

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Defaults: a handler that knows better has said so."""

NO_OPERATION: Final = "none"
CUT: Final = 499
"""Told of a request that had no answer before its client was gone."""

_log = structlog.get_logger("http")


@dataclass(slots=True)
class Exchange:
    """One request and what is known of its answer."""

    request_id: str
    trace_id: str
    traceparent: str
    """As it came, or the beginning of a trace of our own: what a job's script hands on."""

    status: int | None = None
    began: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True)
class Front:
    """The outermost layer."""

    app: ASGIApp
    config: HttpConfig
    meters: Meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        exchange = _exchange(Headers.from_scope(scope))
        told = {"trace_id": exchange.trace_id, "traceparent": exchange.traceparent}
        scope.setdefault("state", {}).update(told)
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            try:
                await self._answer(scope, receive, _marking(scope, send, exchange, self.config), exchange)
            finally:
                self._tell(scope, exchange)

    def _tell(self, scope: HTTPScope, exchange: Exchange) -> None:
        user, seconds = scope.get("user"), time.perf_counter() - exchange.began
        operation = _operation(scope)
        method = scope["method"] if operation != NO_OPERATION else "any"  # anybody can make up a method
        self.meters.answered(operation, method, exchange.status or CUT, seconds)
        _log.info(
            "http.answered",
            **dict(_facts(scope)),
            operation=operation,
            status=exchange.status,
            seconds=round(seconds, 4),
            principal=getattr(user, "name", None),
        )

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send, exchange: Exchange) -> None:
        try:
            if (error := Doors(self.config).refusal(scope)) is not None:
                await send_problem(error, scope, send)
            elif is_preflight(scope):
                await answer_preflight(send)
            else:
                await self.app(scope, limited(receive, self.config), send)
        except Exception as error:
            if exchange.status is not None:
                raise  # the answer has begun: the server cuts it, so that nobody takes it for whole
            await send_problem(_expected(error), scope, send)


def _expected(error: Exception) -> EtlError:
    if isinstance(error, EtlError):
        return error
    _log.error("http.failed", exc_info=error)
    return InternalError("Something went wrong here, and was logged.")


def _exchange(headers: Headers) -> Exchange:
    given = headers.get("x-request-id", "")
    ours = uuid4().hex
    request_id = given if _REQUEST_ID.fullmatch(given) else ours
    if parent := _TRACEPARENT.fullmatch(headers.get("traceparent", "")):
        return Exchange(request_id, parent.group(1), parent.group(0))
    return Exchange(request_id, ours, f"00-{ours}-{uuid4().hex[:16]}-00")


def _marking(scope: HTTPScope, send: Send, exchange: Exchange, config: HttpConfig) -> Send:
    """`send`, with the headers that every answer carries."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            headers = MutableScopeHeaders.from_message(message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = exchange.request_id
            mark(scope, headers, config)
        await send(message)

    return marked


def _operation(scope: HTTPScope) -> str:
    """Its id, once the router has found one."""
    handler = scope.get("route_handler")
    return (handler.name if isinstance(handler, HTTPRouteHandler) else None) or NO_OPERATION


def _facts(scope: HTTPScope) -> Iterator[tuple[str, object]]:
    yield "method", scope["method"]
    yield "path", scope["path"]  # without the query, which may hold what people search for
    yield "client", scope["client"][0] if scope.get("client") else None  # type: ignore[index]  # just tested

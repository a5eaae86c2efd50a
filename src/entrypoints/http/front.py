"""Around the finished application: what must hold for every answer, those of the router included.

Litestar's own middleware never sees its 404 and 405.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog
from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from application.asking.urgency import urgently
from application.ports.meters import Meters
from application.ports.tracer import Span, SpanKind, Tracer
from domain.errors import EtlError
from domain.trace import TraceContext
from entrypoints.http.body_limit import limited
from entrypoints.http.config import HttpConfig
from entrypoints.http.cors import answer_preflight, is_preflight, mark
from entrypoints.http.doors import Doors
from entrypoints.http.limits import RequestLimits
from entrypoints.http.problems import send_problem
from entrypoints.http.refusals import InternalError

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_WATCHED: Final = frozenset({"live", "ready", "metrics"})
"""Asked every few seconds by those who watch: no spans of these."""

SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Defaults: a handler that knows better has said so."""

NO_OPERATION: Final = "none"
SERVER_ERROR: Final = 500
CUT: Final = 499
"""Told of a request that had no answer before its client was gone."""

_log = structlog.get_logger("http")


@dataclass(slots=True)
class Exchange:
    """One request and what is known of its answer."""

    request_id: str
    parent: TraceContext | None
    """As it came."""

    context: TraceContext
    """What a job of this request hands on."""

    status: int | None = None
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True)
class Front:
    """The outermost layer."""

    app: ASGIApp
    config: HttpConfig
    meters: Meters
    tracer: Tracer
    limits: RequestLimits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        exchange = self._exchange(Headers.from_scope(scope))
        told = {"trace_id": exchange.context.trace_id, "traceparent": str(exchange.context)}
        scope.setdefault("state", {}).update(told)
        ids = {"request_id": exchange.request_id, "trace_id": exchange.context.trace_id}
        with structlog.contextvars.bound_contextvars(**ids), urgently():
            try:
                await self._answer(scope, receive, self._marking(scope, send, exchange), exchange)
            finally:
                self.limits.finished(scope)
                self._tell(scope, exchange)

    def _exchange(self, headers: Headers) -> Exchange:
        given = headers.get("x-request-id", "")
        parent = TraceContext.parse(headers.get("traceparent"))
        context = self.tracer.begin(parent)
        ours = context.trace_id if parent is None else uuid4().hex  # of one trace there may be many requests
        return Exchange(given if _REQUEST_ID.fullmatch(given) else ours, parent, context)

    def _tell(self, scope: HTTPScope, exchange: Exchange) -> None:
        user, seconds = scope.get("user"), time.perf_counter() - exchange.began
        operation = _operation(scope)
        method = scope["method"] if operation != NO_OPERATION else "any"  # anybody can make up a method
        self.meters.answered(operation, method, exchange.status or CUT, seconds)
        if exchange.context.is_sampled and operation not in _WATCHED:
            self.tracer.record(_span(scope, exchange, operation, timedelta(seconds=seconds)))
        _log.info(
            "request_answered",
            **dict(_facts(scope)),
            client=self.limits.addresses.client(scope),
            operation=operation,
            status=exchange.status,
            seconds=round(seconds, 4),
            principal=getattr(user, "name", None),
            key_id=_shown(getattr(user, "key_id", None)),
        )

    def _marking(self, scope: HTTPScope, send: Send, exchange: Exchange) -> Send:
        """`send`, with the headers that every answer carries."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = list(message["headers"])  # as bytes: of an answer to a submit it took a tenth else
                said = {name.lower() for name, _ in headers}
                headers += [default for default in SECURITY_HEADERS if default[0] not in said]
                headers += self.limits.headers(scope)
                headers.append((b"x-request-id", exchange.request_id.encode()))
                message["headers"] = headers
                if self.config.cors_origins:
                    mark(scope, MutableScopeHeaders.from_message(message), self.config)
            await send(message)

        return marked

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
    _log.error("request_failed", exc_info=error)
    return InternalError("Something went wrong here, and was logged.")


def _span(scope: HTTPScope, exchange: Exchange, operation: str, took: timedelta) -> Span:
    """Named by the operation: a name with ids in it would be a new one for each request."""
    status = exchange.status or CUT
    return Span(
        context=exchange.context,
        parent=exchange.parent,
        name=operation,
        kind=SpanKind.SERVER,
        began_at=exchange.began_at,
        ended_at=exchange.began_at + took,
        attributes={
            "http.request.method": scope["method"],
            "http.route": str(scope.get("path_template", "")),
            "http.response.status_code": status,
            "etl.request.id": exchange.request_id,
        },
        error=f"Answered with status {status}." if status >= SERVER_ERROR else None,
    )


def _operation(scope: HTTPScope) -> str:
    """Its id, once the router has found one."""
    handler = scope.get("route_handler")
    return (handler.name if isinstance(handler, HTTPRouteHandler) else None) or NO_OPERATION


def _shown(key_id: UUID | None) -> str | None:
    return None if key_id is None else str(key_id)


def _facts(scope: HTTPScope) -> Iterator[tuple[str, object]]:
    yield "method", scope["method"]
    yield "path", scope["path"]  # without the query, which may hold what people search for

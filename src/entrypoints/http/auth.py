"""Who calls, whether they may, and how often: one guard before every handler, closed unless declared open."""

import asyncio
from typing import Any, Final, cast

from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard, HTTPScope

from application.authenticate import Authenticate
from domain.access import Principal, Scope
from domain.errors import Forbidden, Unauthenticated, Unavailable
from entrypoints.http.credential import secret_of
from entrypoints.http.limits import RequestLimits
from entrypoints.http.operation import HttpRequest, Operation
from entrypoints.http.trust import presumed

RECHECK_SECONDS: Final = 5.0
"""A live stream ends within so long after its key was revoked; 10 s are promised."""

ANYBODY: Final = Principal(name="anonymous", scopes=frozenset({Scope.ADMIN}))
"""Whoever reaches a server with `http.auth` off."""


def guard_of(authenticate: Authenticate, limits: RequestLimits, *, auth: bool) -> Guard:
    """The guard of the whole application."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if connection.scope.get("method") == "OPTIONS":
            return  # the router's own, tells `Allow` and nothing else
        declared = handler.opt.get("operation")
        if not isinstance(declared, Operation):
            raise Forbidden("This address is open to nobody.")
        if declared.scopes:
            scope = cast("HTTPScope", connection.scope)
            scope["user"] = caller = await whoever(scope, declared)
            await limits.count(scope, caller)
            _require_any(caller, declared.scopes)

    async def whoever(scope: HTTPScope, declared: Operation) -> Principal:
        if not auth:
            return ANYBODY
        on_trust = presumed(scope, authenticate) if declared.on_trust else None
        return on_trust or await caller_of(scope, authenticate, limits)

    return guard


async def caller_of(scope: HTTPScope, authenticate: Authenticate, limits: RequestLimits) -> Principal:
    """A valid credential is let in whatever others at its address have tried."""
    try:
        return await authenticated(Headers.from_scope(scope), authenticate)
    except Unauthenticated:
        await limits.count_failure(scope)
        raise


async def authenticated(headers: Headers, authenticate: Authenticate) -> Principal:
    """Raises Unauthenticated, TwoCredentials, and what nobody can help."""
    secret = secret_of(headers)
    if secret is None:
        raise Unauthenticated("Send an API key or an access token as `Authorization: Bearer TOKEN`.")
    return await authenticate(secret)


async def credential_ended(request: HttpRequest, authenticate: Authenticate) -> None:
    """Returns once what the caller has shown opens nothing any more. While nobody can tell, it still does."""
    if request.user is ANYBODY:
        await asyncio.Event().wait()
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        try:
            await authenticated(request.headers, authenticate)
        except Unauthenticated:
            return
        except Unavailable:
            continue


def _require_any(caller: Principal, scopes: tuple[Scope, ...]) -> None:
    """Raises MissingScope, which names the first."""
    if not any(caller.has(scope) for scope in scopes):
        caller.require(scopes[0])

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
from entrypoints.http.limits import RequestLimits
from entrypoints.http.operation import HttpRequest, Operation
from entrypoints.http.refusals import TwoCredentials, WrongScheme

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
            scope["user"] = caller = await _caller(scope, authenticate, limits) if auth else ANYBODY
            await limits.count(scope, caller)
            _require_any(caller, declared.scopes)

    return guard


async def _caller(scope: HTTPScope, authenticate: Authenticate, limits: RequestLimits) -> Principal:
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


def secret_of(headers: Headers) -> str | None:
    """The credential. Two are refused: one of them would be checked and the other believed."""
    bearers, keys = headers.getall("authorization", []), headers.getall("x-api-key", [])
    if len(bearers) + len(keys) > 1:
        raise TwoCredentials("Send one credential, once.")
    if keys:
        return keys[0]
    if not bearers:
        return None
    scheme, _, token = bearers[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise WrongScheme("Send `Authorization: Bearer TOKEN`.")
    return token.strip()


def _require_any(caller: Principal, scopes: tuple[Scope, ...]) -> None:
    """Raises MissingScope, which names the first."""
    if not any(caller.has(scope) for scope in scopes):
        caller.require(scopes[0])

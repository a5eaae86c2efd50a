"""Callers who are let in as who they were a moment ago: the statement that does what they want asks whether
their API key still stands. Asked before, it was a second round trip of every submit.

Any other answer waits until the key has been looked up after all, so that of a revoked one nobody learns
more than before.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from application.authenticate import Authenticate
from domain.access import Principal
from domain.errors import EtlError
from entrypoints.http.credential import secret_of
from entrypoints.http.operation import HttpRequest
from entrypoints.http.problems import send_problem

UNAVAILABLE: Final = 503
"""Told to anybody: the look-up would only say it again, later."""

_STATE: Final = "on_trust"


def presumed(scope: HTTPScope, authenticate: Authenticate) -> Principal | None:
    """Who calls, for an operation that is `on_trust`."""
    try:
        secret = secret_of(Headers.from_scope(scope))
    except EtlError:
        return None  # the look-up says what is wrong
    if secret is None or (caller := authenticate.presumed(secret)) is None:
        return None
    scope["state"][_STATE] = True
    return caller


def confirmed(request: HttpRequest) -> None:
    """The key stood in the transaction that did what was asked."""
    request.scope["state"].pop(_STATE, None)


@dataclass(frozen=True, slots=True)
class Trust:
    """Around the router. `look_up` raises what a caller hears whose key does not stand."""

    app: ASGIApp
    look_up: Callable[[HTTPScope], Awaitable[Principal]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = self._sending(scope, send) if scope["type"] == ScopeType.HTTP else send
        await self.app(scope, receive, sending)

    def _sending(self, scope: HTTPScope, send: Send) -> Send:
        refused = False

        async def sending(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and _is_open(scope, message["status"]):
                try:
                    await self.look_up(scope)
                except EtlError as error:
                    refused = True
                    scope["user"] = None
                    await send_problem(error, scope, send)
            if not refused:
                await send(message)

        return sending


def _is_open(scope: HTTPScope, status: int) -> bool:
    """Whether nobody has asked yet for the key of whom this is about to be told."""
    return status != UNAVAILABLE and bool(scope["state"].pop(_STATE, False))

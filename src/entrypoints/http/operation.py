"""One operation of the API, declared once: the router, the guard and the document read the same words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import SkipValidation
from msgspec import Struct

from domain.access import Principal, Scope
from domain.errors import EtlError
from entrypoints.http.deprecation import Deprecation
from entrypoints.http.header import Header
from entrypoints.http.use_cases import UseCases

JSON: Final = "application/json"
Method = Literal["GET", "POST", "PATCH", "DELETE"]
HttpRequest = Request[Principal, Any, State]
"""Its `user` is who calls: the guard has let them in."""

Cases = NamedDependency[SkipValidation[UseCases]]


class Handler(HTTPRouteHandler):
    """Litestar's own shows each guard a copy of itself, whose making took a fiftieth of a submit's time."""

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]  # Litestar's type leaves room for another


class NoQuery(Struct, forbid_unknown_fields=True):
    """An operation that takes no parameters in its query."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which an operation ends well. `content` is the wire type, None for text or nothing."""

    status: int
    description: str
    content: type[Struct] | None = None
    media: str | None = JSON
    headers: Mapping[str, Header] = field(default_factory=dict)
    also: Mapping[str, type[Struct] | None] = field(default_factory=dict)
    """Other media types that the same status may carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`scopes`: any one of them opens it; empty: open to everybody, which must be said, not forgotten.

    `headers` are those of the request that it heeds. `examples` are bodies by what they show.
    """

    id: str
    tag: str
    summary: str
    description: str
    scopes: tuple[Scope, ...]
    answers: tuple[Answer, ...]
    query: type[Struct] = NoQuery
    body: type[Struct] | None = None
    examples: Mapping[str, Struct] = field(default_factory=dict)
    headers: Mapping[str, Header] = field(default_factory=dict)
    errors: tuple[type[EtlError], ...] = ()
    deprecation: Deprecation | None = None
    on_trust: bool = False
    """What it does, it does by a statement that asks whether the caller's key stands (trust.py)."""


def operation(
    method: Method,
    path: str,
    *,
    id: str,  # noqa: A002 - the name that the document gives it
    tag: str,
    summary: str,
    scopes: tuple[Scope, ...],
    answers: tuple[Answer, ...],
    query: type[Struct] = NoQuery,
    body: type[Struct] | None = None,
    examples: Mapping[str, Struct] | None = None,
    headers: Mapping[str, Header] | None = None,
    errors: tuple[type[EtlError], ...] = (),
    deprecation: Deprecation | None = None,
    on_trust: bool = False,
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """The decorator of a handler. The handler's docstring is the operation's description."""

    def declared(handler: Callable[..., Any]) -> HTTPRouteHandler:
        made = Operation(
            id=id,
            tag=tag,
            summary=summary,
            description=" ".join((handler.__doc__ or "").split()),
            scopes=scopes,
            answers=answers,
            query=query,
            body=body,
            examples=examples or {},
            headers=headers or {},
            errors=errors,
            deprecation=deprecation,
            on_trust=on_trust,
        )
        # 200 is what the router believes; every handler answers with its own status.
        told = {"operation": made, "deprecation": deprecation}
        handle = Handler(path, http_method=[method], status_code=200, opt=told, name=id)
        return handle(handler)

    return declared


def answer(content: Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """A JSON answer."""
    return Response(msgspec.json.encode(content), status_code=status, media_type=JSON, headers=headers or {})

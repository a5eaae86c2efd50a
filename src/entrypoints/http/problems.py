"""From an error to its answer: application/problem+json (RFC 9457), everywhere."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope as AsgiScope
from litestar.types import Send
from msgspec import Meta, Struct

from domain.errors import (
    Conflict,
    EtlError,
    Forbidden,
    Invalid,
    LogElsewhere,
    LogGone,
    NotFound,
    Overloaded,
    Unauthenticated,
    Unavailable,
)
from entrypoints.http.refusals import (
    BadRequest,
    BodyTooLarge,
    BodyTooSlow,
    HeadTooLarge,
    InternalError,
    MethodNotAllowed,
    NotAcceptable,
    RangeNotSatisfiable,
    RouteNotFound,
    UnsupportedMediaType,
)

PROBLEM_JSON: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = "5"

STATUS: Final[Mapping[type[EtlError], int]] = {
    BadRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    BodyTooSlow: 408,
    Conflict: 409,
    LogGone: 410,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    RangeNotSatisfiable: 416,
    LogElsewhere: 421,
    Invalid: 422,
    Overloaded: 429,
    HeadTooLarge: 431,
    InternalError: 500,
    Unavailable: 503,
}
"""The one table: the kind of an error decides its status."""

_log = structlog.get_logger("http")


class Fault(Struct, kw_only=True):
    """One place at which the input is wrong."""

    pointer: Annotated[
        str,
        Meta(description="A JSON Pointer (RFC 6901), or the name of a parameter.", examples=["/priority"]),
    ]
    detail: Annotated[str, Meta(description="What is wrong there.", examples=["must be from -100 to 100"])]


class Problem(Struct, kw_only=True):
    """Why the request was not done (RFC 9457)."""

    type: Annotated[
        str, Meta(description="A page that explains this error.", examples=["/problems/job-not-found"])
    ]
    title: Annotated[str, Meta(description="The error in a few words.", examples=["No such job"])]
    status: Annotated[int, Meta(description="The HTTP status again.", examples=[404])]
    detail: Annotated[
        str, Meta(description="This one occasion in a sentence.", examples=["There is no job 019a…"])
    ]
    instance: Annotated[
        str, Meta(description="The path of the request.", examples=["/api/v1/jobs/019a0000-0000"])
    ]
    code: Annotated[str, Meta(description="The error, for programs.", examples=["job-not-found"])]
    trace_id: Annotated[
        str, Meta(description="Find it in the logs.", examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    ]
    errors: Annotated[list[Fault], Meta(description="The places in the input, if it is to blame.")]


def status_of(error: type[EtlError]) -> int:
    """The status of the nearest kind; an error of no kind is a fault of ours."""
    return next((STATUS[kind] for kind in error.__mro__ if kind in STATUS), 500)


def type_of(error: type[EtlError]) -> str:
    return f"/problems/{error.code}"


def problem_of(error: EtlError, scope: AsgiScope) -> Problem:
    return Problem(
        type=type_of(type(error)),
        title=error.title,
        status=status_of(type(error)),
        detail=error.detail,
        instance=quote(scope["path"]),
        code=error.code,
        trace_id=scope.get("state", {}).get("trace_id", ""),
        errors=[Fault(pointer=place.pointer, detail=place.detail) for place in error.places],
    )


def headers_of(error: EtlError) -> dict[str, str]:
    """What the status obliges to say (RFC 9110)."""
    match status_of(type(error)):
        case 401:
            return {"WWW-Authenticate": 'Bearer realm="etl"'}
        case 408:
            return {"Connection": "close"}
        case 503:
            return {"Retry-After": RETRY_AFTER_SECONDS}
    if isinstance(error, Overloaded):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_seconds)))}
    return {}


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        headers = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
        error = _of_the_router(error)
    if not isinstance(error, EtlError):
        _log.error("request_failed", exc_info=error, path=request.scope["path"])
        error = InternalError("Something went wrong here, and was logged.")
    problem = problem_of(error, request.scope)
    if isinstance(error, RangeNotSatisfiable):
        headers = error.headers
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=headers_of(error) | headers,
    )


def _of_the_router(error: HTTPException) -> Exception:
    match error.status_code:
        case 404:
            return RouteNotFound("There is nothing at this address.")
        case 405:
            return MethodNotAllowed("This address does not know that method.")
        case status if status < 500:  # noqa: PLR2004 - the class of statuses that blame the client
            return BadRequest("The request cannot be understood.")
    return error


async def send_problem(error: EtlError, scope: AsgiScope, send: Send) -> None:
    """The same answer from outside Litestar."""
    problem = problem_of(error, scope)
    body = msgspec.json.encode(problem)
    headers = {"Content-Type": PROBLEM_JSON, "Content-Length": str(len(body)), **headers_of(error)}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})

"""Cross-origin requests (WHATWG Fetch, 3.2) of the origins that were named, and of no others."""

from typing import Final

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.types import HTTPScope, Send

from entrypoints.http.config import HttpConfig

ALLOWED_HEADERS: Final = (
    "Authorization, X-API-Key, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Range, If-Range,"
    " X-Request-Id, traceparent"
)
EXPOSED_HEADERS: Final = (
    "ETag, Location, Idempotency-Replayed, X-Request-Id, Retry-After, Content-Range,"
    " RateLimit, RateLimit-Policy"
)


def is_preflight(scope: HTTPScope) -> bool:
    """Origins that are not allowed have been refused before (doors.py)."""
    headers = Headers.from_scope(scope)
    return scope["method"] == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


async def answer_preflight(send: Send) -> None:
    headers = [
        (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
        (b"access-control-allow-headers", ALLOWED_HEADERS.encode()),
        (b"access-control-max-age", b"600"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def mark(scope: HTTPScope, headers: MutableScopeHeaders, config: HttpConfig) -> None:
    """No credentials: keys travel in headers, there are no cookies."""
    headers["Vary"] = f"{headers['Vary']}, Origin" if "vary" in headers else "Origin"
    origin = Headers.from_scope(scope).get("origin")
    if origin in config.cors_origins:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"

"""What is refused before the router sees it: pure decisions on the head of a request."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from litestar.datastructures import Headers
from litestar.types import HTTPScope

from domain.errors import EtlError
from entrypoints.http.config import HttpConfig
from entrypoints.http.refusals import (
    BadRequest,
    BodyTooLarge,
    HeadTooLarge,
    HostNotAllowed,
    OriginNotAllowed,
    RouteNotFound,
    UnsupportedMediaType,
)

MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 32 * 1024

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Doors:
    """Asked in this order; the first that says no decides."""

    config: HttpConfig

    def refusal(self, scope: HTTPScope) -> EtlError | None:
        headers = Headers.from_scope(scope)
        for door in DOORS:
            if (error := door(self.config, scope, headers)) is not None:
                return error
        return None


def _head(_: HttpConfig, scope: HTTPScope, __: Headers) -> EtlError | None:
    """What the server reads in one piece it does not measure."""
    headers = list(scope["headers"])
    if len(headers) > MAX_HEADERS or sum(len(n) + len(v) for n, v in headers) > MAX_HEAD_BYTES:
        return HeadTooLarge(f"Send at most {MAX_HEADERS} headers of {MAX_HEAD_BYTES} bytes together.")
    return None


def _host(config: HttpConfig, _: HTTPScope, headers: Headers) -> EtlError | None:
    allowed = config.allowed_hosts
    hosts = headers.getall("host", [])
    if len(hosts) != 1:
        return BadRequest("A request names its host once.")
    if allowed and _name(hosts[0]) not in allowed:
        return HostNotAllowed("This server does not answer to the name in `Host`.")
    return None


def _origin(config: HttpConfig, _: HTTPScope, headers: Headers) -> EtlError | None:
    """A browser sends `Origin` with what another site's page asks it to send, and no page can forge it.

    Compared without the scheme: behind a proxy that ends TLS this server does not see it.
    """
    origins = headers.getall("origin", [])
    own = headers.get("host", "").lower()
    for origin in origins:
        if origin not in config.cors_origins and origin.partition("://")[2].lower() != own:
            return OriginNotAllowed("Requests from pages of that origin are not allowed.")
    return None


def _path(_: HttpConfig, scope: HTTPScope, __: Headers) -> EtlError | None:
    """No address here needs an escape; `%2f` would be decoded into a slash that the router splits at."""
    if b"%" in scope["raw_path"]:
        return RouteNotFound("There is nothing at this address.")
    return None


def _media_type(_: HttpConfig, __: HTTPScope, headers: Headers) -> EtlError | None:
    """A page of another site may send text/plain without asking first; it may not send JSON."""
    if not _has_body(headers):
        return None
    media, *parameters = (part.strip().lower() for part in headers.get("content-type", "").split(";"))
    utf8 = all(p in ("", "charset=utf-8", 'charset="utf-8"') for p in parameters)
    if media != "application/json" or not utf8 or headers.get("content-encoding", "identity") != "identity":
        return UnsupportedMediaType("Send `Content-Type: application/json`, in UTF-8 and not compressed.")
    return None


def _length(config: HttpConfig, _: HTTPScope, headers: Headers) -> EtlError | None:
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()):
        return BadRequest("`Content-Length` is not a number.")
    return too_large(config) if int(length[:20]) > config.max_body else None


def too_large(config: HttpConfig) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {config.max_body} bytes.")


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _name(host: str) -> str:
    """The host without its port; nothing where it is malformed (`evil@localhost` is no host)."""
    found = _HOST.fullmatch(host)
    return found.group(1).strip("[]").lower() if found else ""


DOORS: Final[tuple[Callable[[HttpConfig, HTTPScope, Headers], EtlError | None], ...]] = (
    _head,
    _host,
    _origin,
    _path,
    _length,
    _media_type,
)

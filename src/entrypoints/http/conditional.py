"""Conditional requests (RFC 9110, 13) and byte ranges (14)."""

import hashlib
import re
from typing import Final

from entrypoints.http.operation import HttpRequest

_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')
_RANGE: Final = re.compile(r"(bytes|written)=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


def etag_of(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def has_already(request: HttpRequest, etag: str) -> bool:
    """Whether `If-None-Match` names what would be sent. Weak comparison, as that header wants."""
    given = request.headers.get("if-none-match")
    return given is not None and (given.strip() == "*" or etag in _TAG.findall(given))


def range_of(request: HttpRequest, size: int, etag: str, unit: str = "bytes") -> range | None:
    """The bytes that were asked for; None: all of them. An empty range cannot be satisfied.

    Several ranges, another unit and a range of another version (`If-Range`) are answered with all,
    as RFC 9110 allows or demands.
    """
    given = _RANGE.fullmatch(request.headers.get("range", ""))
    if given is None or given[1] != unit or request.headers.get("if-range", etag) != etag:
        return None
    _, first, last = given.groups()
    if first:
        stop = min(int(last) + 1, size) if last else size
        return None if last and int(last) < int(first) else range(min(int(first), size), stop)
    return range(max(size - int(last), 0), size) if last else None


def is_of_no_version(request: HttpRequest) -> bool:
    """A range that counts from the beginning, and does not say of which version."""
    return "if-range" not in request.headers and not request.headers.get("range", "").startswith("bytes=-")

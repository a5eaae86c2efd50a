"""The `Idempotency-Key` header: a request that may be sent again."""

import hashlib
import re
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

from application.ports.job_queue import Idempotency
from domain.errors import Place
from entrypoints.http.operation import HttpRequest
from entrypoints.http.refusals import WrongParameter

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


def idempotency_of(request: HttpRequest, body: Struct) -> Idempotency | None:
    """Keys are each caller's own. The digest is that of the meaning, not of blanks or the order of
    members: a client that encodes anew sends the same request.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        wrong = Place(HEADER, "is 1 to 255 visible ASCII characters")
        raise WrongParameter(f"`{HEADER}` is wrong.", [wrong])
    canonical = msgspec.json.encode([type(body).__name__, _meaning(body)], order="sorted")
    return Idempotency(owner=request.user.identity, key=key, digest=hashlib.sha256(canonical).digest())


def _meaning(value: Any) -> Any:
    """Without what is at its default: a member that a later version adds changes no digest."""
    if isinstance(value, Struct):
        given = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.encode_name: _meaning(held) for field, held in given if held != _default(field)}
    return [_meaning(item) for item in value] if isinstance(value, list | tuple) else value


def _default(field: FieldInfo) -> Any:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()

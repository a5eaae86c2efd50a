"""The `Idempotency-Key` header: a request that may be sent again."""

import hashlib
import re
from typing import Final

import msgspec
from msgspec import Struct

from application.ports.job_queue import Idempotency
from domain.access import Principal
from domain.errors import Place
from entrypoints.http.operation import HttpRequest
from entrypoints.http.refusals import WrongParameter

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


def idempotency_of(request: HttpRequest, body: Struct, by: Principal) -> Idempotency | None:
    """Keys are each caller's own. The digest is that of the meaning, not of blanks or the order of
    members: a client that encodes anew sends the same request.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        wrong = Place(HEADER, "is 1 to 255 visible ASCII characters")
        raise WrongParameter(f"`{HEADER}` is wrong.", [wrong])
    meaning = type(body).__name__.encode() + msgspec.json.encode(body, order="sorted")
    return Idempotency(owner=by.name, key=key, digest=hashlib.sha256(meaning).digest())

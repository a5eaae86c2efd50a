"""Notices as text on the wire: several a payload, each payload within PostgreSQL's limit."""

import json
from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID

from application.ports.notifier import CancelRequested, JobChanged, JobsWaiting, Notice, Reconnected

MAX_BYTES: Final = 7999
"""NOTIFY refuses payloads of 8000 bytes and more."""

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


def payloads(notices: Iterable[Notice]) -> Iterator[str]:
    """JSON arrays of as many notices as fit. One that never fits is told as Reconnected: look at all."""
    parts: list[str] = []
    size = 2
    for notice in notices:
        part = _encoded(notice)
        if len(part) > MAX_BYTES - 2:
            part = _encoded(Reconnected())
        if size + len(part) + 1 > MAX_BYTES:
            yield f"[{','.join(parts)}]"
            parts, size = [], 2
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield f"[{','.join(parts)}]"


def parse(payload: str) -> frozenset[Notice]:
    """What a payload tells; one that is not ours, or of a later version, tells to look at all."""
    try:
        return frozenset(_decoded(item) for item in json.loads(payload))
    except (ValueError, TypeError, IndexError, AttributeError):
        return frozenset({Reconnected()})


def _encoded(notice: Notice) -> str:
    match notice:
        case JobsWaiting(queue):
            item = ["w", queue]
        case CancelRequested(session_id, job_id):
            item = ["c", session_id.hex, job_id.hex]
        case JobChanged(job_id):
            item = ["j", job_id.hex]
        case Reconnected():
            item = ["r"]
    return _ENCODER.encode(item)  # ASCII only, so characters are bytes


def _decoded(item: list[str]) -> Notice:
    match item:
        case ["w", queue]:
            return JobsWaiting(queue)
        case ["c", session_id, job_id]:
            return CancelRequested(UUID(session_id), UUID(job_id))
        case ["j", job_id]:
            return JobChanged(UUID(job_id))
        case _:
            return Reconnected()

"""Ids in paths, in their one canonical form."""

import re
from typing import Final
from uuid import UUID

from domain.errors import JobNotFound, KeyNotFound, QueueNotFound, WorkerNotFound
from entrypoints.http.request_types import QUEUE_NAME

_CANONICAL: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_QUEUE_NAME: Final = re.compile(QUEUE_NAME, re.ASCII)


def job_id_of(text: str) -> UUID:
    return uuid_of(text, JobNotFound("There is no job of this id."))


def worker_id_of(text: str) -> UUID:
    return uuid_of(text, WorkerNotFound("There is no worker of this id."))


def key_id_of(text: str) -> UUID:
    return uuid_of(text, KeyNotFound("There is no API key of this id."))


def uuid_of(text: str, otherwise: Exception) -> UUID:
    """`UUID()` takes braces, `urn:uuid:`, upper case and no hyphens: one thing must have one address,
    so there is nothing (404) at the others.
    """
    if not _CANONICAL.fullmatch(text):
        raise otherwise
    return UUID(text)


def queue_name_of(text: str) -> str:
    """No queue can have a name of another form."""
    if not _QUEUE_NAME.fullmatch(text):
        raise QueueNotFound("There is no queue of this name.")
    return text

"""A job request out of what stands on a command line."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from entrypoints.cli.failure import bad_usage
from entrypoints.settings import units

_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


def program(script: str | None, args: Sequence[str], *, command: bool) -> dict[str, Any]:
    """`SCRIPT -- ARGS`, or with `--command` an argv."""
    if script is None:
        raise bad_usage("Name a script, or give `--command -- PROGRAM ARGS`.")
    return {"command": [script, *args]} if command else {"script": script, "args": list(args)}


def parameters(texts: Iterable[str]) -> dict[str, Any]:
    """`full` is a flag, `period=2026-01` a value; the same name twice makes a list."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in found:
            found[name] = value if equals else True
            continue
        earlier = found[name] if isinstance(found[name], list) else [found[name]]
        found[name] = [*earlier, value if equals else True]
    return found


def pairs(texts: Iterable[str], flag: str) -> dict[str, str]:
    """`K=V` each."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise bad_usage(f"{flag} {text}: write {flag} name=value.")
        found[name] = value
    return found


def duration(text: str | None, flag: str) -> float | None:
    """`5m` in seconds."""
    if text is None:
        return None
    try:
        return units.seconds(text)
    except ValueError as error:
        raise bad_usage(f"{flag} {text}: {error}.") from None


def resources(memory: str | None, cpu: str | None) -> dict[str, Any]:
    """`2GiB` and `10m` as limits of the whole tree."""
    return without_none({"memory_bytes": _size(memory, "--memory"), "cpu_seconds": duration(cpu, "--cpu")})


def _size(text: str | None, flag: str) -> int | None:
    if text is None:
        return None
    try:
        return units.size(text)
    except ValueError as error:
        raise bad_usage(f"{flag} {text}: {error}.") from None


def moment(text: str | None, flag: str) -> str | None:
    """An instant (`2026-01-31T06:00:00Z`), or a duration from now (`10m`), as RFC 3339."""
    if text is None:
        return None
    try:
        return (datetime.now(UTC) + timedelta(seconds=units.seconds(text))).isoformat()
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        cure = "write an instant with its zone (2026-01-31T06:00:00Z) or a time from now (10m)"
        raise bad_usage(f"{flag} {text}: {cure}.")
    return at.isoformat()


def idempotency_key(text: str | None) -> str:
    """One of our own where none was given: then a request whose answer was lost can be sent again too."""
    if text is None:
        return str(uuid4())
    if not _VISIBLE.fullmatch(text):
        raise bad_usage(f"--idempotency-key {text}: write 1 to 255 visible ASCII characters.")
    return text


def without_none(body: dict[str, Any]) -> dict[str, Any]:
    """A request without what was not asked for, so that the server's defaults hold."""
    return {name: value for name, value in body.items() if value not in (None, {}, [])}

"""What must be shown to nobody: values of names that look secret, and passwords within addresses."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qs, unquote

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(r".*(PASS(WORD|WD)?|SECRET|TOKEN|KEY|CREDENTIALS?|DSN|URL).*", re.ASCII)
_PASSWORD: Final = re.compile(r"(?<=://)([^\s/?#:@]*):([^\s/?#@]+)(?=@)")
"""Of `scheme://user:password@host`, anywhere in a text."""


def mask_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment as it may be shown: values whose names look like secrets become `***`, and so does
    the password within any other.
    """
    return {n: MASK if _looks_secret(n) else _PASSWORD.sub(rf"\1:{MASK}", v) for n, v in environment.items()}


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What must not stand in a log: all that `mask_secrets` masks."""
    whole = (value for name, value in environment.items() if value and _looks_secret(name))
    parts = (password for value in environment.values() for password in passwords_in(value))
    return tuple(dict.fromkeys((*whole, *parts)))


def passwords_in(text: str) -> Iterator[str]:
    """As they stand in addresses, and as they are meant; of libpq's `?password=` too."""
    for match in _PASSWORD.finditer(text):
        yield match[2]
        yield unquote(match[2])
    if "password=" in text:
        yield from parse_qs(text.partition("?")[2]).get("password", ())


def _looks_secret(name: str) -> bool:
    return _SECRET_NAME.fullmatch(name.upper()) is not None

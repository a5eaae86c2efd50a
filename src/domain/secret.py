"""What must be shown to nobody: values of names that look secret, and passwords within addresses."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"

_NAMES: Final = 1024
"""Of so many it is remembered whether they look secret: most programs get the same."""

_SECRET_NAME: Final = re.compile(r".*(PASS(WORD|WD)?|SECRET|TOKEN|KEY|CREDENTIALS?|DSN|URL).*", re.ASCII)
_PASSWORD: Final = re.compile(r"(?<=://)([^\s/?#:@]*):([^\s/?#@]+)(?=@)")
"""Of `scheme://user:password@host`, anywhere in a text."""

_KEYWORD: Final = re.compile(
    r"(?:(?<=\bpassword)|(?<=\bsslpassword))(\s*=\s*)(?:'((?:[^'\\]|\\.)*)'|([^\s'&]+))"
)
"""Of libpq's `host=… password=…`, where quotes take blanks and a backslash takes anything, and of its
`?password=…`; `sslpassword` opens the key of a client's certificate.
"""


def mask_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment as it may be shown: values whose names look like secrets become `***`, and so does
    the password within any other.
    """
    return {n: MASK if _looks_secret(n) else _without_passwords(v) for n, v in environment.items()}


def _without_passwords(text: str) -> str:
    return _KEYWORD.sub(rf"\1{MASK}", _PASSWORD.sub(rf"\1:{MASK}", text))


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What must not stand in a log: all that `mask_secrets` masks."""
    whole = (value for name, value in environment.items() if value and _looks_secret(name))
    parts = (password for value in environment.values() for password in passwords_in(value))
    return tuple(dict.fromkeys((*whole, *parts)))


def passwords_in(text: str) -> Iterator[str]:
    """As they stand in addresses and in libpq's `password=…`, and as they are meant."""
    if "://" not in text and "password" not in text:  # nearly all, at a tenth of the time
        return
    for match in _PASSWORD.finditer(text):
        yield match[2]
        yield unquote(match[2])
    for match in _KEYWORD.finditer(text):
        if bare := match[3]:
            yield bare
            yield unquote(bare)
        elif quoted := match[2]:
            yield re.sub(r"\\(.)", r"\1", quoted)


@lru_cache(_NAMES)
def _looks_secret(name: str) -> bool:
    return _SECRET_NAME.fullmatch(name.upper()) is not None

"""Takes secrets out of a stream, however it is cut into chunks, with a bounded buffer."""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import quote_from_bytes

MASK: Final = b"***"
SHORTEST: Final = 6
"""What is shorter stands in a log by chance, and its mask would tell where."""


class Masker:
    """One stream. What is given out is the same for every cutting of it.

    A secret is found as it is, in base64 (also amid other bytes, as in `user:password`), URL-encoded and in
    hexadecimal, and so is each of its lines.
    Only an end that may be the beginning of a secret is held back, so a live reader waits for nothing else.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
        self._secret = re.compile(b"|".join(map(re.escape, forms))) if forms else None
        self._signs = [form for form in forms if not any(o != form and o in form for o in forms)]
        """Where none of these is, there is no secret. Each is looked for some ten times faster than all."""
        self._beginnings: dict[int, list[tuple[int, bytes]]] = {}
        """By their last byte, the longest first."""
        for form in forms:
            for size in range(1, len(form)):
                self._beginnings.setdefault(form[size - 1], []).append((size, form))
        for beginnings in self._beginnings.values():
            beginnings.sort(reverse=True)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        data = self._held + chunk
        held = self._beginning_at_end(data)
        return self._masked(data, len(data) - held)

    def end(self) -> bytes:
        """What was held back, when nothing can follow it."""
        return self._masked(self._held, len(self._held))

    def _masked(self, data: bytes, stop: int) -> bytes:
        """Of a secret that begins before `stop` nothing is left; what is behind is held."""
        if self._secret is None or not any(sign in data for sign in self._signs):
            self._held = data[stop:]
            return data[:stop]
        told: list[bytes] = []
        at = 0
        for match in self._secret.finditer(data):
            if match.start() >= stop:
                break
            told += (data[at : match.start()], MASK)
            at = match.end()
        stop = max(at, stop)
        self._held = data[stop:]
        return b"".join((*told, data[at:stop])) if told else data[:stop]

    def _beginning_at_end(self, data: bytes) -> int:
        """How many of the last bytes may be the beginning of a secret: the most that may."""
        beginnings = self._beginnings.get(data[-1], ()) if data else ()
        return next((size for size, form in beginnings if data.endswith(form[:size])), 0)


def _forms(secret: str) -> Iterator[bytes]:
    whole = secret.encode(errors="surrogateescape")
    for value in (whole, *whole.splitlines()):
        if len(value) < SHORTEST:
            continue
        yield value
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(value)
            yield encode(value).rstrip(b"=")
            for before in range(3):
                yield _amid(encode, value, before)
        yield quote_from_bytes(value, safe="").encode()
        yield value.hex().encode()


def _amid(encode: Callable[[bytes], bytes], value: bytes, before: int) -> bytes:
    """The characters of base64 that the value alone decides when so many bytes (modulo 3) stand before it:
    six bits each, so the first and the last may belong to its neighbours too.
    """
    first = (before * 8 + 5) // 6
    return encode(bytes(before) + value)[first : (before + len(value)) * 8 // 6]

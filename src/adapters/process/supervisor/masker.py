"""Takes secrets out of a stream, however it is cut into chunks, with a bounded buffer: those that it is
told of, and every API key of this product, by its form.
"""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import quote_from_bytes

MASK: Final = b"***"
SHORTEST: Final = 6
"""What is shorter stands in a log by chance, and its mask would tell where."""

_KEY_SIGN: Final = b"etl_"
_KEY_SHOWN: Final = 12
"""What everybody may see of a key, and by which it is found in lists (domain.access.prefix_of)."""
_KEY_BYTES: Final = 47
# Of 43 random characters some are large and some small (all but one in 2 billion keys), of a name hardly.
_KEY: Final = re.compile(
    rb"(etl_(?=[a-z0-9_-]{0,42}[A-Z])(?=[A-Z0-9_-]{0,42}[a-z])[A-Za-z0-9_-]{8})[A-Za-z0-9_-]{35}"
)
_KEY_BEGINNING: Final = re.compile(rb"(?:e|et|etl|etl_[A-Za-z0-9_-]{0,42})\Z")


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


class KeyMasker:
    """One stream. Of an API key its public beginning is left: it says which one has to be revoked.

    So that beginning is given out at once, and no text ever waits but what follows 12 characters of a key.
    """

    def __init__(self) -> None:
        self._open = b""
        """The end of the stream that may begin a key; the public part of it has been given out."""

    def feed(self, chunk: bytes) -> bytes:
        given = min(len(self._open), _KEY_SHOWN)
        data = self._open + chunk if self._open else chunk
        told: list[bytes] = []
        at = 0
        if _KEY_SIGN in data:
            for match in _KEY.finditer(data):
                told += (data[at : match.start()], match[1], MASK)
                at = match.end()
        begins = self._beginning(data, at)
        self._open = data[begins:]
        if not told and not given and begins + _KEY_SHOWN >= len(data):
            return chunk
        return b"".join((*told, data[at : begins + _KEY_SHOWN]))[given:]

    def end(self) -> bytes:
        """What was held back, when nothing can follow it."""
        held, self._open = self._open[_KEY_SHOWN:], b""
        return held

    @staticmethod
    def _beginning(data: bytes, at: int) -> int:
        """Where the key begins that the data, from `at` on, may end in; else its end."""
        match = _KEY_BEGINNING.search(data, max(at, len(data) - _KEY_BYTES + 1))
        return match.start() if match else len(data)


class LogMasker:
    """One stream of a program: secrets first, since a key may be a part of one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = Masker(secrets)
        self._keys = KeyMasker()

    def feed(self, chunk: bytes) -> bytes:
        return self._keys.feed(self._secrets.feed(chunk))

    def end(self) -> bytes:
        return self._keys.feed(self._secrets.end()) + self._keys.end()


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

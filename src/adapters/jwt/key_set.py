"""The keys that an issuer publishes (JWK Set, RFC 7517), fetched when they are needed and kept."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import httpx
import jwt
import msgspec

from adapters.jwt.public_keys import fits
from application.ports.clock import Clock
from domain.errors import TokenKeysUnavailable, Unauthenticated

FRESH_SECONDS: Final = 600.0
"""After so long the keys are fetched again, while tokens go on to be checked with those that are there."""

KEPT_SECONDS: Final = 24 * 3600.0
"""An issuer that cannot be reached for so long may have withdrawn any of them."""

REST_SECONDS: Final = 10.0
"""At most one fetch in this time, whatever callers send: a token may name a key that never was."""

FETCH_SECONDS: Final = 3.0
MAX_BYTES: Final = 256 * 1024
NEVER: Final = float("-inf")


class Told(Protocol):
    """Hears once that the keys cannot be fetched, and once that they can again."""

    def began(self, **facts: object) -> None: ...

    def ended(self) -> None: ...


class KeySet:
    """A source of keys by their `kid`. Symmetric and private keys in the set are passed over."""

    def __init__(self, url: str, algorithms: tuple[str, ...], clock: Clock, told: Told) -> None:
        self._url, self._algorithms, self._clock, self._told = url, algorithms, clock, told
        self._keys: Mapping[str | None, Any] = {}
        self._fetched_at = self._tried_at = NEVER
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str | None, algorithm: str) -> Any:
        """Raises Unauthenticated for an unknown key, TokenKeysUnavailable where nobody can tell."""
        age = self._clock.elapsed() - self._fetched_at
        if age > FRESH_SECONDS:
            self._fetch_unless_resting()
        if age > KEPT_SECONDS or self._found(kid) is None:
            await self._fetched()
        return self._usable(kid, algorithm)

    async def _fetched(self) -> None:
        self._fetch_unless_resting()
        if self._fetching is not None:
            await asyncio.shield(self._fetching)

    def _usable(self, kid: str | None, algorithm: str) -> Any:
        known = self._clock.elapsed() - self._fetched_at <= KEPT_SECONDS
        key = self._found(kid) if known else None
        if key is not None and fits(key, algorithm):
            return key
        if key is None and self._tried_at > self._fetched_at:
            raise TokenKeysUnavailable("The keys of the tokens' issuer cannot be fetched at the moment.")
        raise Unauthenticated("This token is signed with a key that its issuer does not publish.")

    def _found(self, kid: str | None) -> Any:
        """A token that names no key is checked with the only one there is."""
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _fetch_unless_resting(self) -> None:
        now = self._clock.elapsed()
        if self._fetching is None and now - self._tried_at >= REST_SECONDS:
            self._tried_at = now
            self._fetching = asyncio.create_task(self._fetch(), name="jwks")

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                data = await _downloaded(self._url)
            self._keys = dict(_keys_in(data, self._algorithms))
            self._fetched_at = self._tried_at
            self._told.ended()
        except (httpx.HTTPError, TimeoutError, OSError, ValueError) as error:
            self._told.began(error=f"{type(error).__name__}: {error}"[:200])
        finally:
            self._fetching = None


async def _downloaded(url: str) -> bytes:
    """Raises httpx.HTTPError, or ValueError for an answer that is too long."""
    data = b""
    async with (
        httpx.AsyncClient(timeout=FETCH_SECONDS) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"the status is {answer.status_code}")
        async for piece in answer.aiter_bytes():
            data += piece
            if len(data) > MAX_BYTES:
                raise ValueError(f"the answer is longer than {MAX_BYTES} bytes")
    return data


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


def _keys_in(data: bytes, algorithms: tuple[str, ...]) -> Iterator[tuple[str | None, Any]]:
    """Of a set with strangers in it those that can be used. Raises ValueError if it is no set at all."""
    for published in msgspec.json.decode(data, type=_Document).keys:
        alg, use, kid = (published.get(name) for name in ("alg", "use", "kid"))
        if (alg is not None and alg not in algorithms) or use not in (None, "sig") or "d" in published:
            continue
        if not isinstance(kid, str | None):
            continue
        try:
            key = jwt.PyJWK(published, algorithm=algorithms[0]).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if any(fits(key, name) for name in algorithms):
            yield kid, key

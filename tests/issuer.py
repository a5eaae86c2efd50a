"""Somebody who issues access tokens, with keys of every kind, and a web server that publishes them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

ISSUER: Final = "https://login.example"
AUDIENCE: Final = "etl"
SECRET: Final = "x" * 31 + "y" * 33
HOUR: Final = timedelta(hours=1)


def private_key(algorithm: str, name: str = "first") -> Any:
    """One for each name, made at its first use: RSA takes a while."""
    return _made(algorithm, name)


@cache
def _made(algorithm: str, _: str) -> Any:
    match algorithm[:2]:
        case "HS":
            return SECRET
        case "ES":
            return generate_private_key(SECP256R1() if algorithm == "ES256" else SECP384R1())
        case "Ed":
            return Ed25519PrivateKey.generate()
    return generate_rsa(public_exponent=65537, key_size=2048)


def public_pem(algorithm: str, name: str = "first") -> bytes:
    key = private_key(algorithm, name).public_key()
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def published(algorithm: str, name: str = "first", **changes: Any) -> dict[str, Any]:
    """The key as its issuer publishes it, with its name as `kid`."""
    made = get_default_algorithms()[algorithm].to_jwk(private_key(algorithm, name).public_key())
    return {**json.loads(made), "kid": name, "use": "sig", "alg": algorithm, **changes}


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; None takes a claim away."""
    now = datetime.now(UTC)
    good = {
        "iss": ISSUER,
        "sub": "alice@example",
        "aud": AUDIENCE,
        "iat": now,
        "nbf": now,
        "exp": now + HOUR,
        "scope": "openid jobs:read jobs:submit",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(
    algorithm: str = "RS256",
    name: str = "first",
    *,
    key: Any = None,
    headers: Mapping[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Signed by the issuer's key of that name."""
    signed_by = private_key(algorithm, name) if key is None else key
    said = {n: v for n, v in {"kid": name, **(headers or {})}.items() if v is not None}
    return jwt.encode(claims(**changes), signed_by, algorithm=algorithm, headers=said)


@dataclass
class JwksServer:
    """A web server that publishes `keys`, and counts how often it was asked."""

    keys: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    asked: int = 0
    port: int = 0
    stalls: bool = False
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks.json"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        if self.stalls:
            await reader.read()
        body = json.dumps({"keys": self.keys}).encode() if self.body is None else self.body
        head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()


@asynccontextmanager
async def jwks_server(*keys: dict[str, Any]) -> AsyncIterator[JwksServer]:
    server = JwksServer(list(keys))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Heard:
    """What an operator is told of the issuer's keys."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def began(self, **_: object) -> None:
        self.words.append("away")

    def ended(self) -> None:
        self.words.append("there")

"""Tokens that were not signed by the issuer, or not for this service."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.jwt import fixed_key
from adapters.jwt.token_verifier import JwtTokenVerifier
from domain.errors import Unauthenticated, WrongSetting
from tests import issuer
from tests.issuer import AUDIENCE, ISSUER, SECRET


def verifier(directory: Path, *algorithms: str) -> JwtTokenVerifier:
    """It knows the public key of the first algorithm, or the secret."""
    if algorithms[0].startswith("HS"):
        keys = fixed_key.from_secret(SECRET, algorithms)
    else:
        (directory / "key.pem").write_bytes(issuer.public_pem(algorithms[0]))
        keys = fixed_key.from_file(directory / "key.pem", algorithms)
    return JwtTokenVerifier(
        keys=keys, issuer=ISSUER, audience=AUDIENCE, algorithms=algorithms, scope_claim="scope"
    )


async def refused(by: JwtTokenVerifier, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await by.verify(token, datetime.now(UTC))
    return caught.value.detail


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def plain_claims() -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    return {**issuer.claims(), "iat": now, "nbf": now, "exp": now + 3600}


def signed(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """By the issuer's secret, whatever it says."""
    text = f"{encoded(header)}.{encoded(claims)}"
    signature = jwt.algorithms.get_default_algorithms()["HS256"].sign(text.encode(), SECRET.encode())
    return f"{text}.{encoded(signature)}"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, 0, ["RS256"]])
async def test_a_token_without_a_signature_is_refused(tmp_path: Path, name: object) -> None:
    header = {"typ": "JWT", "alg": name}
    for signature in ("", encoded(b"x" * 256)):
        token = f"{encoded(header)}.{encoded(plain_claims())}.{signature}"
        await refused(verifier(tmp_path, "RS256"), token)


@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
async def test_the_public_key_is_not_taken_for_a_secret(tmp_path: Path, algorithm: str) -> None:
    """The key confusion of RFC 8725, 2.1: everybody knows the public key."""
    pem = issuer.public_pem("RS256")
    signer = jwt.algorithms.get_default_algorithms()[algorithm]
    signed = f"{encoded({'typ': 'JWT', 'alg': algorithm})}.{encoded(plain_claims())}"
    token = f"{signed}.{encoded(signer.sign(signed.encode(), pem))}"
    assert "algorithm" in await refused(verifier(tmp_path, "RS256"), token)


async def test_another_algorithm_of_the_same_family_is_refused_unless_it_was_named(tmp_path: Path) -> None:
    await refused(verifier(tmp_path, "RS256"), issuer.token("RS512"))
    both = verifier(tmp_path, "RS256", "RS512")
    token = issuer.token("RS512", key=issuer.private_key("RS256"))
    assert (await both.verify(token, datetime.now(UTC))).name


async def test_a_key_that_the_token_brings_is_not_used(tmp_path: Path) -> None:
    """`jwk`, `jku`, `x5u` and `x5c` of the header (RFC 8725, 3.10)."""
    own = issuer.private_key("RS256", "mallory")
    for headers in (
        {"jwk": issuer.published("RS256", "mallory")},
        {"jku": "http://127.0.0.1:1/keys", "kid": "mallory"},
        {"x5u": "http://127.0.0.1:1/cert"},
        {"x5c": ["MIIB"]},
    ):
        assert "signature" in await refused(
            verifier(tmp_path, "RS256"), issuer.token("RS256", key=own, headers=headers)
        )


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "nbf", "iat"])
async def test_each_claim_is_required(tmp_path: Path, claim: str) -> None:
    without: dict[str, Any] = {claim: None}
    said = await refused(verifier(tmp_path, "HS256"), issuer.token("HS256", **without))
    assert claim in said or "issuer" in said


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": "https://login.example/"},
        {"iss": ["https://login.example"]},
        {"aud": "other"},
        {"aud": ["other", "more"]},
        {"aud": "etl-dev"},
        {"sub": 5},
        {"sub": ["alice"]},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": 1e300},
        {"exp": -1e300},
        {"nbf": "now"},
        {"iat": {}},
    ],
)
async def test_a_claim_of_another_value_or_type_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    token = signed({"typ": "JWT", "alg": "HS256"}, {**plain_claims(), **changes})
    await refused(verifier(tmp_path, "HS256"), token)


async def test_an_audience_among_several_is_ours(tmp_path: Path) -> None:
    token = issuer.token("HS256", aud=["other", AUDIENCE])
    assert (await verifier(tmp_path, "HS256").verify(token, datetime.now(UTC))).name


@pytest.mark.parametrize("headers", [{"crit": ["exp"]}, {"typ": "logout+jwt"}, {"typ": 5}, {"typ": "JOSE"}])
async def test_a_token_made_for_something_else_is_refused(tmp_path: Path, headers: dict[str, Any]) -> None:
    """With a signature that is right: the header alone is wrong."""
    header = {"alg": "HS256", "typ": "JWT", **headers}
    assert "signature" not in await refused(verifier(tmp_path, "HS256"), signed(header, plain_claims()))
    plain = await verifier(tmp_path, "HS256").verify(
        signed({"alg": "HS256", "typ": "at+jwt"}, plain_claims()), datetime.now(UTC)
    )
    assert plain.name


async def test_a_changed_token_is_refused(tmp_path: Path) -> None:
    header, _, signature = issuer.token("HS256").split(".")
    more = encoded({**plain_claims(), "scope": "admin"})
    assert "signature" in await refused(verifier(tmp_path, "HS256"), f"{header}.{more}.{signature}")


@given(token=st.text(max_size=200) | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
async def test_no_text_is_a_token_and_none_breaks_the_check(
    token: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await refused(verifier(tmp_path_factory.getbasetemp(), "HS256"), token)


# -- keys that cannot be used, told at the start -------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 31), ("HS384", 47), ("HS512", 63)])
def test_a_secret_that_is_too_short_is_refused_at_the_start(algorithm: str, length: int) -> None:
    with pytest.raises(WrongSetting, match=f"http.jwt.secret: must have at least {length + 1} bytes"):
        fixed_key.from_secret("x" * length, (algorithm,))
    assert fixed_key.from_secret("x" * (length + 1), (algorithm,)).value


def test_a_public_key_is_no_secret() -> None:
    with pytest.raises(WrongSetting, match="everybody may know"):
        fixed_key.from_secret(issuer.public_pem("RS256").decode(), ("HS256",))


def test_a_file_that_holds_no_public_key_for_the_algorithm_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(WrongSetting, match=r"key\.pem cannot be read"):
        fixed_key.from_file(path, ("RS256",))
    path.write_text("hello")
    with pytest.raises(WrongSetting, match="no public key"):
        fixed_key.from_file(path, ("RS256",))
    path.write_bytes(issuer.public_pem("ES256"))
    for algorithms in (("RS256",), ("EdDSA",), ("ES256", "ES384")):
        with pytest.raises(WrongSetting, match="no key for"):
            fixed_key.from_file(path, algorithms)
    path.write_bytes(short_rsa_pem())
    with pytest.raises(WrongSetting, match="2048 bits"):
        fixed_key.from_file(path, ("RS256",))


def short_rsa_pem() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key  # noqa: PLC0415 - only here
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - as above

    key = generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505 - to be refused
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

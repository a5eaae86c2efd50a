"""Access tokens: what must be set together, and what each mistake is told."""

from pathlib import Path

import pytest

from domain.errors import WrongSetting
from entrypoints.settings import Settings, load

GOOD = {
    "ETL_HTTP__JWT__ISSUER": "https://login.example",
    "ETL_HTTP__JWT__AUDIENCE": "etl",
    "ETL_HTTP__JWT__JWKS_URL": "https://login.example/keys",
}
FILE = """
[http]
port = 1
[http.jwt]
issuer = "https://login.example"
audience = "etl"
public_key_file = "key.pem"
algorithms = ["ES256"]
"""


def settings(directory: Path, **changes: str | None) -> Settings:
    """The good ones with changes by the last part of their names; None leaves one out."""
    changed = {f"ETL_HTTP__JWT__{name.upper()}": value for name, value in changes.items()}
    environ = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    return load({}, environ, directory).settings


def test_without_any_of_them_tokens_are_not_accepted(tmp_path: Path) -> None:
    assert load({}, {}, tmp_path).settings.http_jwt.sources == ()


def test_they_come_from_variables_a_nested_table_or_flags(tmp_path: Path) -> None:
    assert settings(tmp_path).http_jwt.jwks_url == "https://login.example/keys"
    (tmp_path / "etl.toml").write_text(FILE)
    found = load({"http.jwt.scope_claim": "scp"}, {}, tmp_path)
    jwt = found.settings.http_jwt
    assert (found.settings.http.port, jwt.issuer, jwt.scope_claim) == (1, "https://login.example", "scp")
    assert jwt.public_key_file == tmp_path / "key.pem"
    assert found.origins["http.jwt.issuer"] == f"{tmp_path / 'etl.toml'}: http.jwt.issuer"


def test_algorithms_are_pinned_even_if_none_is_named(tmp_path: Path) -> None:
    assert settings(tmp_path).http_jwt.pinned == ("RS256",)
    shared = settings(tmp_path, jwks_url=None, secret="x" * 32)
    assert shared.http_jwt.pinned == ("HS256",)


def test_the_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x" * 40 + "\n")
    found = settings(tmp_path, jwks_url=None, secret_file="secret")  # noqa: S106 - the file's name
    assert found.http_jwt.secret == "x" * 40


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": None}, "http.jwt.issuer: must be set"),
        ({"audience": None}, "http.jwt.audience: must be set"),
        ({"jwks_url": None}, "ETL_HTTP__JWT__ISSUER: opens nothing without a key: set http.jwt.jwks_url"),
        ({"secret": "x" * 40}, "ETL_HTTP__JWT__SECRET: keys come from one place, and http.jwt.jwks_url"),
        ({"algorithms": "none"}, "ETL_HTTP__JWT__ALGORITHMS: none is not accepted here"),
        ({"algorithms": "RS256,HS256"}, "ETL_HTTP__JWT__ALGORITHMS: must be of one family"),
        ({"algorithms": "RS256,ES256"}, "ETL_HTTP__JWT__ALGORITHMS: must be of one family"),
        ({"algorithms": "HS256"}, "ETL_HTTP__JWT__ALGORITHMS: with http.jwt.jwks_url must be those of a pub"),
        ({"jwks_url": None, "secret": "x" * 40, "algorithms": "RS256"}, "must be HS256, HS384 or HS512"),
        ({"jwks_url": "http://login.example/keys"}, "ETL_HTTP__JWT__JWKS_URL: must begin with https://"),
        ({"jwks_url": "file:///etc/passwd"}, "must begin with https://"),
        ({"jwks_url": "https:///keys"}, "must begin with https://"),
        ({"jwks_url": "https://[::1"}, "must begin with https://"),
    ],
)
def test_a_mistake_names_its_place_and_the_cure(
    tmp_path: Path, changes: dict[str, str | None], said: str
) -> None:
    with pytest.raises(WrongSetting) as refused:
        settings(tmp_path, **changes)
    assert said in refused.value.detail
    assert "x" * 40 not in refused.value.detail


def test_plain_http_is_for_this_machine_alone(tmp_path: Path) -> None:
    assert settings(tmp_path, jwks_url="http://127.0.0.1:9/keys").http_jwt.jwks_url


def test_an_unknown_name_in_the_nested_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "etl.toml").write_text('[http.jwt]\nisuer = "x"\n')
    with pytest.raises(WrongSetting, match=r"http\.jwt\.isuer: .* did you mean http\.jwt\.issuer\?"):
        load({}, {}, tmp_path)

"""What is shown to nobody."""

import pytest

from domain.secret import MASK, mask_secrets, passwords_in, secret_values


def test_values_of_names_that_look_like_secrets_are_masked() -> None:
    environment = {
        "DB_PASSWORD": "a",
        "api_token": "b",
        "SECRET": "c",
        "DATABASE_URL": "d",
        "SENTRY_DSN": "e",
        "AWS_ACCESS_KEY_ID": "f",
        "REGION": "eu",
    }
    shown = mask_secrets(environment)
    assert shown.pop("REGION") == "eu"
    assert set(shown.values()) == {MASK}
    assert MASK not in environment.values()


def test_a_password_within_an_address_is_masked_whatever_its_name() -> None:
    environment = {"SOURCE": "postgresql://loader:s3cr%2Ft-pw@db:5432/dwh?sslmode=require", "REGION": "eu"}
    assert mask_secrets(environment)["SOURCE"] == "postgresql://loader:***@db:5432/dwh?sslmode=require"
    assert secret_values(environment) == ("s3cr%2Ft-pw", "s3cr/t-pw")


def test_a_password_of_libpqs_keywords_is_masked() -> None:
    environment = {
        "SOURCE": "host=db password=hunter22 dbname=dwh",
        "OTHER": "postgresql://db/x?password=a1b2",
    }
    assert mask_secrets(environment) == {
        "SOURCE": "host=db password=*** dbname=dwh",
        "OTHER": "postgresql://db/x?password=***",
    }
    assert secret_values(environment) == ("hunter22", "a1b2")


def test_what_is_masked_by_its_name_is_a_secret_as_a_whole_and_in_its_password() -> None:
    address = "redis://:hunter22@cache/0"
    assert secret_values({"CACHE_URL": address, "TOKEN": "abc", "EMPTY_KEY": ""}) == (
        address,
        "abc",
        "hunter22",
    )


@pytest.mark.parametrize(
    ("text", "passwords"),
    [
        ("postgresql://db/x?user=a&password=p%40ss", {"p%40ss", "p@ss"}),
        ("host=db user=etl password=hunter22 dbname=dwh", {"hunter22"}),
        (r"password = 'it\'s a secret' host=db", {"it's a secret"}),
        ("password='' host=db", set()),
        ("postgresql://db/x?sslkey=k.pem&sslpassword=hunter22", {"hunter22"}),
        ("forgot_password=yes", set()),
        ("copy a://u:one@h to b://v:two@h", {"one", "two"}),
        ("http://host:8080/a@b", set()),
        ("https://user@host/x", set()),
        ("12:30 mail me@example.org", set()),
        ("postgresql:///x?host=/run:5432", set()),
    ],
)
def test_only_passwords_of_addresses_are_found(text: str, passwords: set[str]) -> None:
    assert set(passwords_in(text)) == passwords

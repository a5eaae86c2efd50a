"""Which of the settings no log may hold."""

from entrypoints.from_settings import secrets_of
from entrypoints.settings import Settings
from entrypoints.settings.schema import Database, Jwt


def test_without_a_secret_setting_there_is_nothing_to_look_for() -> None:
    assert secrets_of(Settings()) == ()


def test_the_address_of_the_database_is_a_secret_and_so_is_the_password_in_it() -> None:
    url = "postgresql://etl:p%40ssword@db/etl"
    assert secrets_of(Settings(database=Database(url=url))) == (url, "p%40ssword", "p@ssword")


def test_the_secret_of_access_tokens_is_one() -> None:
    assert secrets_of(Settings(http_jwt=Jwt(secret="x" * 32))) == ("x" * 32,)

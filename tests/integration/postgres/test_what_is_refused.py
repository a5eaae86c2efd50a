"""Addresses that cannot be read, and databases that cannot hold every text, are told in a sentence."""

from collections.abc import Iterator
from itertools import count
from os import getpid

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.connecting import conninfo
from adapters.postgres.durability import require_durable
from adapters.postgres.migrate import migrate, pending
from domain.errors import WrongSetting
from tests.conftest import at

NUMBERS = count()


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def narrow_database_url(request: pytest.FixtureRequest, postgres_server_url: str) -> Iterator[str]:
    """What `CREATE DATABASE` makes where PostgreSQL was set up with the locale C, and an old one."""
    name = sql.Identifier(f"etl_narrow_{getpid()}_{next(NUMBERS)}")
    with psycopg.connect(postgres_server_url, autocommit=True) as connection:
        make = "CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0"
        connection.execute(sql.SQL(make).format(name, sql.Literal(request.param)))
        yield at(postgres_server_url, name.as_string(connection).strip('"'))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


async def test_a_database_that_cannot_hold_every_text_is_refused_before_a_table_is_made(
    narrow_database_url: str,
) -> None:
    """Seen with SQL_ASCII: psycopg gave bytes for text, and the start ended in a traceback."""
    for ask in (migrate, pending, require_durable):
        with pytest.raises(WrongSetting, match=r"has the encoding (SQL_ASCII|LATIN1),.*ENCODING 'UTF8'"):
            await ask(narrow_database_url)
    with psycopg.connect(narrow_database_url) as connection:
        assert connection.execute("SELECT to_regnamespace('etl')").fetchone() == (None,)


async def test_the_client_speaks_utf8_whatever_the_environment_says(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    async with await psycopg.AsyncConnection.connect(conninfo(empty_database_url)) as connection:
        assert connection.info.encoding == "utf-8"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://etl:hunt%er22@db/etl",
        "postgresql://etl:hunter22@db:port]/etl?nonsense",
        "hunter22",
        "host=db password=hunter22 nonsense=1",
    ],
)
def test_an_address_that_libpq_cannot_read_is_a_wrong_setting_and_not_quoted(url: str) -> None:
    with pytest.raises(WrongSetting, match=r"database\.url: cannot be read: write postgresql://") as caught:
        conninfo(url)
    assert "er22" not in str(caught.value.detail)
    assert caught.value.__suppress_context__

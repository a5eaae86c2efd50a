"""A real PostgreSQL for every test that asks for one: a fresh, migrated database each."""

import asyncio
import os
from collections.abc import Iterator
from itertools import count
from os import getpid
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.postgres.migrate import migrate
from tests.embedded_server import Server

TEMPLATE = f"etl_template_{getpid()}"
NUMBERS = count(1)


SIZES = {
    "--soak-jobs": (200, "jobs of the soak run; 20000 is a day's work in small"),
    "--chaos-jobs": (150, "jobs of the chaos run; 2000 is the large one"),
    "--attempts": (1000, "attempts in a row (F39); 10000 is the large run"),
    "--flood-mib": (128, "MiB that a program pours out (F42); 2048 is the large run"),
    "--log-mib": (18, "MiB of a live log whose worker and API are killed; 200 is the large run"),
    "--sleep": (5, "seconds that a job sleeps while its worker is killed; 20 is long"),
    "--restart-rounds": (
        2,
        "times that APIs and workers are restarted in turn under load; 10 is the large run",
    ),
    "--restart-clients": (4, "clients that submit meanwhile; 16 is the large run"),
    "--api-examples": (
        3,
        "requests that schemathesis makes up for each operation and phase; 100 is the large run",
    ),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres",
        default="embedded",
        help="`embedded`, `container`, or the URL of a server that may be filled with databases",
    )
    for name, (default, meaning) in SIZES.items():
        parser.addoption(name, type=int, default=default, help=meaning)
    parser.addoption(
        "--real-programs",
        type=Path,
        default=os.environ.get("ETL_TEST_REAL_PROGRAMS"),
        help="where PySpark and dbt are installed (CONTRIBUTING.md); also ETL_TEST_REAL_PROGRAMS",
    )


@pytest.fixture(scope="session")
def postgres_server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The server of this process: each xdist worker starts its own, which ends with it."""
    given = str(request.config.getoption("--postgres"))
    if given == "container":
        yield from _in_container()
        return
    if given != "embedded":
        yield given
        return
    server = Server()
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def _in_container() -> Iterator[str]:
    """PostgreSQL of the image ETL_TEST_POSTGRES_IMAGE. It is removed at the end, by nobody else: the
    companion that Testcontainers starts for that would be one image more.
    """
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - as above
    from testcontainers.core.config import testcontainers_config  # noqa: PLC0415 - only where it is asked for

    testcontainers_config.ryuk_disabled = True
    image = os.environ.get("ETL_TEST_POSTGRES_IMAGE", "postgres:18")
    container = PostgresContainer(image, username="etl", dbname="etl", driver=None)
    with container.with_command("postgres -c max_connections=200") as server:
        yield server.get_connection_url()


@pytest.fixture(scope="session")
def _migrated_template(postgres_server_url: str) -> Iterator[str]:
    _execute(postgres_server_url, "CREATE DATABASE {}", TEMPLATE)
    asyncio.run(migrate(at(postgres_server_url, TEMPLATE)))
    yield TEMPLATE
    _execute(postgres_server_url, "DROP DATABASE {} WITH (FORCE)", TEMPLATE)


@pytest.fixture
def database_url(postgres_server_url: str, _migrated_template: str) -> Iterator[str]:
    """A database of the test's own, its schema up to date."""
    name = f"etl_{getpid()}_{next(NUMBERS)}"
    _execute(
        postgres_server_url, "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, _migrated_template
    )
    yield at(postgres_server_url, name)
    _execute(postgres_server_url, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def empty_database_url(postgres_server_url: str) -> Iterator[str]:
    """A database of the test's own, with nothing in it."""
    name = f"etl_{getpid()}_{next(NUMBERS)}"
    _execute(postgres_server_url, "CREATE DATABASE {}", name)
    yield at(postgres_server_url, name)
    _execute(postgres_server_url, "DROP DATABASE {} WITH (FORCE)", name)


def at(server_url: str, database: str) -> str:
    """The same server, another database."""
    return make_conninfo("", **{**conninfo_to_dict(server_url), "dbname": database})


def _execute(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))

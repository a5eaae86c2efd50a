"""One API on a real database, a real socket and a real scripts directory, for all attacks of a file."""

from collections.abc import AsyncIterator
from os import getpid

import pytest
import pytest_asyncio

from tests.conftest import _execute, at
from tests.issuer import AUDIENCE, ISSUER, SECRET
from tests.served_api import ServedApi, served_api

TOKENS = {
    "http__jwt__issuer": ISSUER,
    "http__jwt__audience": AUDIENCE,
    "http__jwt__secret": SECRET,
    "http__rate_limit": "100000/m",
    "http__failure_limit": "off",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(
    postgres_server_url: str, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServedApi]:
    """It accepts tokens of a shared secret, and limits nobody."""
    name = f"etl_attacks_{getpid()}"
    _execute(postgres_server_url, "CREATE DATABASE {} TEMPLATE {}", name, _migrated_template)
    directory = tmp_path_factory.mktemp("site")
    async with served_api(at(postgres_server_url, name), directory, **TOKENS) as served:
        (directory / "outside.py").touch()
        (served.scripts / "link.py").symlink_to(directory / "outside.py")
        (served.scripts / "--help.py").touch()
        yield served
    _execute(postgres_server_url, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def site_url(postgres_server_url: str) -> str:
    return at(postgres_server_url, f"etl_attacks_{getpid()}")

from collections.abc import AsyncIterator

import httpx
import pytest

from domain.access import Scope
from entrypoints.http.app import HttpConfig
from entrypoints.http.server import HttpServer
from tests.integration.http.api import PATIENCE, Api
from tests.integration.http.live import Live


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def admin(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with await api.client(Scope.ADMIN) as client:
        yield client


@pytest.fixture
async def live(api: Api) -> AsyncIterator[Live]:
    server = HttpServer(
        api.app(HttpConfig(max_body=100_000, body_seconds=0.5)), "127.0.0.1", 0, head_seconds=0.5
    )
    port = await server.start()
    headers = {"Authorization": f"Bearer {await api.key(Scope.ADMIN)}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=PATIENCE
    ) as client:
        yield Live(api, server, port, client)
    await server.stop()

from collections.abc import AsyncIterator

import httpx
import pytest

from domain.access import Scope
from tests.integration.http.api import Api


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def admin(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with await api.client(Scope.ADMIN) as client:
        yield client

"""The API as `etl api` composes it, on a real database and a real socket, in this process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from adapters.system.clock import SystemChance
from domain.access import Scope, digest_of
from entrypoints.container import Container
from entrypoints.settings import load
from tests.builders import a_key

PATIENCE: Final = 60.0
CHANCE: Final = SystemChance()


@dataclass
class ServedApi:
    container: Container
    port: int
    directory: Path
    client: httpx.AsyncClient
    """With a key for everything."""

    @property
    def scripts(self) -> Path:
        return self.directory / "scripts"

    async def key(self, *scopes: Scope, name: str = "alice") -> dict[str, str]:
        """The headers of a new key."""
        secret = f"etl_{CHANCE.secret()}"
        key = a_key(secret, name=name, scopes=frozenset(scopes), digest=digest_of(secret))
        await self.container.access().add(key)
        return {"Authorization": f"Bearer {secret}"}

    def stranger(self) -> httpx.AsyncClient:
        """A client without a key, for the caller to close."""
        return httpx.AsyncClient(base_url=self.client.base_url, timeout=PATIENCE)


@asynccontextmanager
async def served_api(url: str, directory: Path, **settings: str) -> AsyncIterator[ServedApi]:
    """`settings` by key, with `__` for the dots."""
    for name in ("scripts", "logs"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "scripts/load.py").touch()
    flags = {
        "data.directory": str(directory),
        "scripts.directory": str(directory / "scripts"),
        "http.port": "0",
        **{name.replace("__", "."): value for name, value in settings.items()},
    }
    container = Container(settings=load(flags, {}, directory).settings, database_url=url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(container.database().close)
        await container.database().open()
        stack.push_async_callback(container.notifier().close)
        await container.notifier().open()
        server = container.http_server()
        stack.push_async_callback(server.stop)
        address = f"http://127.0.0.1:{await server.start()}"
        limits = httpx.Limits(max_connections=None)
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=address, limits=limits, timeout=PATIENCE)
        )
        made = ServedApi(container, int(address.rpartition(":")[2]), directory, client)
        client.headers.update(await made.key(Scope.ADMIN, name="admin"))
        yield made

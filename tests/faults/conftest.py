"""What the fault tests share. F68, everything at once with a checker of history, is tests/chaos."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.postgres.migrate import migrate
from tests.contract.postgres_kernel import PostgresKernel, postgres_kernel
from tests.embedded_server import Server
from tests.faults.node import Place
from tests.faults.proxy import Proxy, proxy_before

RESCUE_SECONDS = 0.1


@pytest.fixture
def place() -> Iterator[Place]:
    """Short: a socket's name has room for 107 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="etl-fault-"))
    directory.chmod(0o755)
    yield Place(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    async with proxy_before(database_url) as proxy:
        yield proxy


@pytest.fixture
async def kernel(database_url: str) -> AsyncIterator[PostgresKernel]:
    """Straight to the database, whatever happens to others."""
    async with postgres_kernel(database_url) as kernel:
        yield kernel


@pytest.fixture
async def hurt(proxy: Proxy) -> AsyncIterator[PostgresKernel]:
    """The same database, through the proxy."""
    async with postgres_kernel(proxy.url) as kernel:
        yield kernel


@pytest.fixture
async def rescuing(kernel: PostgresKernel) -> AsyncIterator[None]:
    """Maintenance that never pauses, beside the test."""

    async def rescue() -> None:
        while True:
            await kernel.queue.rescue(100)
            await asyncio.sleep(RESCUE_SECONDS)

    task = asyncio.create_task(rescue())
    yield
    assert not task.done(), "the rescue failed"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server of the test's own, migrated, which may be crashed."""
    own = Server()
    try:
        own.start()
        await migrate(own.url)
        yield own
    finally:
        own.stop()

"""The stores and the logs that the contract suites run on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contract.kernels import Kernel, MemoryKernel
from tests.contract.written_logs import Logs, in_memory, on_files

STORES = ("memory", "postgres")


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest) -> str | None:
    """None is the memory; a fresh, migrated database otherwise."""
    if request.param == "memory":
        return None
    url: str = request.getfixturevalue("database_url")
    return url


@pytest.fixture
async def kernel(store_url: str | None) -> AsyncIterator[Kernel]:
    if store_url is None:
        yield MemoryKernel.fresh()
        return
    from tests.contract.postgres_kernel import postgres_kernel  # noqa: PLC0415 - drivers load when they are used

    async with postgres_kernel(store_url) as kernel:
        yield kernel


@pytest.fixture(params=("memory", "filesystem"))
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Logs]:
    if request.param == "memory":
        yield in_memory()
        return
    with on_files(tmp_path / "logs") as files:
        yield files

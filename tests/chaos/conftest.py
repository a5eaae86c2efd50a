"""A cluster of its own for each chaos test: PostgreSQL, three workers, a ledger."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres.migrate import migrate
from tests.chaos.cluster import LEASE_SECONDS, Cluster, WorkerProcess
from tests.chaos.ledger import Ledger

SCRIPT = "ledger_script"


@pytest.fixture
def place() -> Iterator[Path]:
    """Short and searchable by other users, unlike pytest's own directories."""
    directory = Path(tempfile.mkdtemp(prefix="etl-chaos-"))
    directory.chmod(0o755)
    (directory / "scripts").mkdir()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def ledger(place: Path) -> Ledger:
    ledger = Ledger(place)
    ledger.install(place / "scripts", SCRIPT)
    return ledger


@pytest.fixture
async def cluster(place: Path) -> AsyncIterator[Cluster]:
    database = EmbeddedPostgres(place / "database")
    url = await database.start()
    await migrate(url)
    environment = {
        "ETL_DATABASE__URL": url,
        "ETL_SCRIPTS__DIRECTORY": str(place / "scripts"),
        "ETL_LOGS__DIRECTORY": str(place / "logs"),
        "ETL_WORKER__SLOTS": "4",
        "ETL_WORKER__LEASE": f"{LEASE_SECONDS:g}s",
        "ETL_WORKER__LAST_LEASE": f"{2 * LEASE_SECONDS:g}s",
        "ETL_WORKER__POLL": "500ms",
        "ETL_TELEMETRY__LOG_FORMAT": "json",
    }
    cluster = Cluster(url, lambda: postmaster_of(place / "database"))
    cluster.workers = [WorkerProcess(f"w{number}", place, environment) for number in (1, 2, 3)]
    try:
        for worker in cluster.workers:
            worker.start()
        yield cluster
    finally:
        for worker in cluster.workers:
            if worker.process is not None and worker.process.poll() is None:
                worker.kill()
        await database.stop()


def postmaster_of(database: Path) -> int:
    return int((database / "cluster" / "postmaster.pid").read_text().splitlines()[0])

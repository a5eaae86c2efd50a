"""A day's work in small: many jobs through two workers, everything restarted once in between.

Small by default; `./run test tests/soak -n 0 --soak-jobs 20000` is the large one. Memory is judged from
5,000 jobs on: before that, processes still warm up.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres.migrate import migrate
from tests.e2e.installation import Installation, until
from tests.soak.plant import WORKERS, Plant

BACKLOG = 1000
WARM = 5000
MIB = 1024 * 1024
GROWTH = 1.1
SLACK = 4 * MIB
CLUSTER = 64 * MIB
WAL = 512 * MIB
"""`max_wal_size` of the embedded database."""
PER_JOB = 8 * 1024


Memory = dict[tuple[str, int], int]


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    directory = Path(tempfile.mkdtemp(prefix="etl-soak-"))
    directory.chmod(0o755)  # noqa: ASYNC240 - nothing else runs yet
    database = EmbeddedPostgres(directory / "database")
    plant = Plant(Installation(directory), await database.start(), directory / "database")
    await migrate(plant.url)
    try:
        yield plant
    finally:
        plant.own.stop()
        await database.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.timeout(7200)
def test_a_days_work_ends_once_each_and_leaves_nothing_that_grows(
    plant: Plant, request: pytest.FixtureRequest
) -> None:
    total = int(request.config.getoption("--soak-jobs"))
    disturbances: list[Callable[[], None]] = [
        plant.restart_api,
        *(partial(plant.restart_worker, name) for name in WORKERS),
        plant.restart_database,
    ]
    plant.start()
    work_off(plant, min(total // 2, WARM), disturbances)
    warm = plant.settled_memory()
    work_off(plant, total - min(total // 2, WARM), [])
    last = plant.settled_memory()
    assert_each_ended_well_once(plant, total)
    if total > WARM:
        assert_flat(warm, last)
    prune(plant)
    assert_disk_is_bounded(plant, total)
    then, now = in_mib(by_part(warm)), in_mib(by_part(last))
    figures = f"{total} jobs; memory in MiB then {then}, now {now}; disk {in_mib(disk(plant))}"
    print(figures)  # noqa: T201 - with `-s`, what the large run is for


def work_off(plant: Plant, count: int, disturbances: list[Callable[[], None]]) -> None:
    """Submits and waits, and disturbs at even distances, never more than BACKLOG ahead of the end."""
    before, submitted, left = plant.final(), 0, list(disturbances)
    every = count // (len(left) + 1)

    def more() -> bool | None:
        nonlocal submitted
        done = plant.final() - before
        if left and done >= every * (len(disturbances) - len(left) + 1):
            left.pop(0)()
        while submitted < count and submitted - done < BACKLOG:
            submitted += plant.submit()
        return True if done >= count and not left else None

    until(more, f"{count} jobs to end", seconds=7000)


def assert_each_ended_well_once(plant: Plant, total: int) -> None:
    assert plant.ask("SELECT count(*) FROM etl.job_end WHERE final_state = 'succeeded'") == total
    assert plant.ask("SELECT count(*) FROM etl.attempt WHERE ending->>'outcome' = 'lost'") == 0
    ran = Counter(plant.ledger.read_text().splitlines())
    assert set(ran.values()) == {1}, "an attempt ran twice"
    assert len(ran) == total + total // 20


def assert_flat(warm: Memory, last: Memory) -> None:
    """Of every process that lived through it. PostgreSQL has one for each connection, and pools fill late."""
    both = warm.keys() & last.keys()
    assert {part for part, _ in both} == {"api", "database", *WORKERS}
    grown = {name: (warm[name], last[name]) for name in both if last[name] > warm[name] * GROWTH + SLACK}
    assert grown == {}, "grew from and to so many bytes"


def by_part(memory: Memory) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (part, _), size in memory.items():
        found[part] += size
    return dict(found)


def prune(plant: Plant) -> None:
    """One worker with a retention of nothing."""
    for name in WORKERS:
        plant.stop(name)
    plant.start_worker("one", "--retention.jobs=1s", "--retention.logs=1s")
    patience = 90 + plant.ask("SELECT count(*) FROM etl.job") / 20
    until(lambda: None if plant.ask("SELECT count(*) FROM etl.job") else True, "history to go", patience)
    until(lambda: None if sum(files(plant.logs)) else True, "logs to go", patience)


def assert_disk_is_bounded(plant: Plant, total: int) -> None:
    found = disk(plant)
    assert found["logs"] == 0
    assert found["database"] < CLUSTER + WAL + total * PER_JOB
    left = [path for name in WORKERS for path in (plant.own.directory / name / "run").glob("*/*-*")]
    assert left == []


def disk(plant: Plant) -> dict[str, int]:
    return {"logs": sum(files(plant.logs)), "database": sum(files(plant.database))}


def files(directory: Path) -> list[int]:
    """Their sizes; what goes meanwhile is not counted."""
    sizes = []
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                sizes.append((Path(folder) / name).stat().st_size)
    return sizes


def in_mib(sizes: dict[str, int]) -> dict[str, float]:
    return {name: round(size / MIB, 1) for name, size in sizes.items()}

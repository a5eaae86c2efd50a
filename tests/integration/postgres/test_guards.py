"""Final means final, also for whoever writes to the tables by hand."""

import psycopg
import pytest

from tests.builders import a_job, report_of
from tests.contract.kernels import join as join_worker
from tests.contract.kernels import start_one, submit
from tests.contract.postgres_kernel import postgres_kernel

REFUSED = [
    "UPDATE etl.job_end SET final_state = 'failed'",
    "UPDATE etl.job_end SET finished_at = now()",
    "UPDATE etl.job SET submitted_by = 'somebody else'",
    "UPDATE etl.attempt SET ending = NULL",
    "UPDATE etl.attempt SET finished_at = now()",
]


@pytest.mark.parametrize("statement", REFUSED)
async def test_a_final_job_and_an_ended_attempt_cannot_be_changed(database_url: str, statement: str) -> None:
    async with postgres_kernel(database_url) as kernel:
        worker = await join_worker(kernel)
        await submit(kernel, a_job())
        await kernel.queue.report([report_of(await start_one(kernel, worker))])
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.Error) as refusal:
        connection.execute(statement)
    assert refusal.value.sqlstate == "ETL01"


async def test_a_live_job_cannot_be_deleted(database_url: str) -> None:
    async with postgres_kernel(database_url) as kernel:
        await submit(kernel, a_job())
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.Error) as refusal:
        connection.execute("DELETE FROM etl.job")
    assert refusal.value.sqlstate == "ETL01"

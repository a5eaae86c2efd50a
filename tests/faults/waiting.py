"""Waiting for what nobody announces: bounded, and never for a time by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from application.asking.patience import until_answered
from domain.job import Job, JobState
from tests.contract.kernels import Kernel
from tests.faults.node import LEASE

PATIENCE = 60.0


async def eventually(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what files and processes do wakes nobody here
            await asyncio.sleep(0.02)


async def until(holds: Callable[[], Awaitable[object]], seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)


async def pass_leases(count: float) -> None:
    """Long enough for whatever so many leases that are not renewed would bring."""
    await asyncio.sleep(count * LEASE)


async def when(kernel: Kernel, job_id: UUID, *states: JobState, seconds: float = PATIENCE) -> Job:
    """The job, once it is in one of these states."""
    async with asyncio.timeout(seconds):
        while (job := await until_answered(lambda: kernel.history.get(job_id))).state not in states:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
        return job


async def ended(kernel: Kernel, job_id: UUID) -> Job:
    return await when(kernel, job_id, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

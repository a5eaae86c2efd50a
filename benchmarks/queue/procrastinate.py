"""procrastinate as its documentation runs it: a pooled psycopg connector, `concurrency` jobs at once."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from procrastinate import App, PsycopgConnector

from benchmarks.queue.contender import Burn

SUBMIT_BATCH = 1000


def make(url: str, size: int) -> App:
    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=size))

    @app.task(name="noop")
    async def noop() -> None:
        pass

    return app


@dataclass(frozen=True)
class Procrastinate:
    concurrency: int

    @property
    def name(self) -> str:
        return f"procrastinate, concurrency {self.concurrency}"

    async def prepare(self, url: str) -> None:
        async with make(url, 2).open_async() as app:
            await app.schema_manager.apply_schema_async()

    async def submit(self, url: str, jobs: int, connections: int) -> float:
        async with make(url, connections).open_async() as app:
            left = iter(range(jobs))

            async def client() -> None:
                for _ in left:
                    await app.tasks["noop"].defer_async()

            began = time.monotonic()
            await asyncio.gather(*(client() for _ in range(connections)))
            return time.monotonic() - began

    async def submit_batch(self, url: str, jobs: int) -> float:
        async with make(url, 2).open_async() as app:
            began = time.monotonic()
            for _ in range(0, jobs, SUBMIT_BATCH):
                await app.tasks["noop"].batch_defer_async(*[{} for _ in range(SUBMIT_BATCH)])
            return time.monotonic() - began

    def burn(self, url: str, worker: int) -> Burn:
        async def run(ready: Callable[[], object]) -> None:
            async with make(url, self.concurrency + 2).open_async() as app:
                ready()
                await app.run_worker_async(
                    wait=False,
                    concurrency=self.concurrency,
                    install_signal_handlers=False,
                    listen_notify=False,
                )

        return run

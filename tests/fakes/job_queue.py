"""A queue whose database goes away when a test says so."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from adapters.memory.job_queue import MemoryJobQueue
from adapters.memory.records import Records
from application.ports.clock import Chance, Clock
from application.ports.job_queue import Claim, Report
from domain.errors import DatabaseUnavailable
from domain.job import Job


class FailingJobQueue(MemoryJobQueue):
    """JobQueue. `away["report"] = 2`: two reports fail before the store has heard of them.
    `answer_lost["start"] = 1`: one start is committed, and then its answer is lost.

    `calls` counts what was asked; `asked` is set at each call, for tests that wait for one.
    """

    def __init__(self, records: Records, clock: Clock, chance: Chance) -> None:
        super().__init__(records, clock, chance)
        self.away: Counter[str] = Counter()
        self.answer_lost: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.asked = asyncio.Event()

    async def start(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        self._ask("start")
        started = await super().start(claims)
        self._answer("start")
        return started

    async def report(self, reports: Sequence[Report]) -> Sequence[Job]:
        self._ask("report")
        jobs = await super().report(reports)
        self._answer("report")
        return jobs

    async def put_back(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        self._ask("put_back")
        return await super().put_back(claims)

    async def adopt(self, session_id: UUID, claims: Sequence[Claim]) -> Sequence[Job]:
        self._ask("adopt")
        return await super().adopt(session_id, claims)

    def _ask(self, call: str) -> None:
        self.calls[call] += 1
        self.asked.set()
        if self.away[call] > 0:
            self.away[call] -= 1
            raise DatabaseUnavailable("The database does not answer.")

    def _answer(self, call: str) -> None:
        if self.answer_lost[call] > 0:
            self.answer_lost[call] -= 1
            raise DatabaseUnavailable("The answer was lost.")

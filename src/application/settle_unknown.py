"""Holdings of this worker's session that the worker does not know: given back, or ended as lost.

They come to be when the answer to a claim is lost after its commit, and when an attempt's task dies
of a bug. The session is renewed, so nobody else would ever rescue them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from application.held_attempts import HeldAttempts
from application.ports.clock import Clock
from application.ports.job_queue import Claim, JobQueue, Report
from domain.attempt import Exit, judge
from domain.worker import Holding


@dataclass(slots=True)
class SettleUnknown:
    """Remembers since when a holding is unknown: an answer may still be under way when first missed."""

    queue: JobQueue
    clock: Clock
    held: HeldAttempts
    _since: dict[Claim, float] = field(default_factory=dict)

    async def __call__(self, holdings: Sequence[Holding]) -> int:
        """How many were settled. What the database does not answer for is tried again next time."""
        unknown = {c: h for h in holdings if not self.held.knows(c := Claim.of(h))}
        again = [claim for claim in unknown if claim in self._since]
        now = self.clock.elapsed()
        self._since = {claim: self._since.get(claim, now) for claim in unknown}
        if not again:
            return 0
        back = await self.queue.put_back(again)
        lost = [c for c in again if c not in back and self._is_stopped(c, unknown[c], now)]
        await self.queue.report([_lost(claim) for claim in lost])
        return len(back) + len(lost)

    def _is_stopped(self, claim: Claim, holding: Holding, now: float) -> bool:
        """Whether its supervisor, if there is one, has passed the last deadline that it can have got."""
        return now >= self.held.terms.deadline(self._since[claim], last=holding.is_last_attempt)


def _lost(claim: Claim) -> Report:
    why = "Its worker lost sight of it, and its supervisor stopped it at its deadline."
    return Report(job_id=claim.job_id, fence=claim.fence, ending=judge(Exit(lost=why), 0))

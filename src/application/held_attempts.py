"""What this worker holds: its session, its slots, and the attempts in them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from application.ports.job_queue import Claim
from application.ports.process_runner import RunningProcess
from domain.attempt import Stop
from domain.worker import LeaseTerms


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt, the program that runs for it, and since when it is held (Clock.elapsed())."""

    claim: Claim
    process: RunningProcess
    is_last_attempt: bool
    since: float


class HeldAttempts:
    """A slot is taken from before an attempt starts until its program has ended; the attempt is known here
    until its report was accepted.

    `session_id` names the worker's session; `renewed_at` is when its lease was last asked for,
    read before the question was sent, so that a deadline reckoned from it comes before the
    database's.
    """

    def __init__(self, slots: int, terms: LeaseTerms) -> None:
        self.slots = slots
        self.terms = terms
        self.session_id: UUID | None = None
        self.renewed_at = 0.0
        self.wake = asyncio.Event()
        """Set whenever a claim may bring something: a slot became free, or a notice came."""
        self.heard_at: float | None = None
        """When the first notice came that no claim has answered yet; none while no slot was free."""
        self.draining = False
        """The worker is about to stop: nothing is started any more, so what was claimed is given back."""
        self.full_until = 0.0
        """On Clock.elapsed(): this machine could make no process, so it claims nothing before."""
        self._stopping = False
        self._claims: set[Claim] = set()
        self._vacated: set[Claim] = set()
        self._held: dict[Claim, Held] = {}
        self._disowned: set[Claim] = set()

    @property
    def free(self) -> int:
        """How many may be claimed. No more reports are ever owed than there are slots."""
        return max(0, min(self.slots - self.used, 2 * self.slots - len(self._claims)))

    @property
    def used(self) -> int:
        """Slots of attempts whose programs have not ended."""
        return len(self._claims) - len(self._vacated)

    @property
    def taken(self) -> int:
        """How many attempts are held, with those whose end is being reported."""
        return len(self._claims)

    def hear(self, at: float) -> None:
        """A notice that something waits came at `at`, on Clock.elapsed()."""
        if self.free and self.heard_at is None:
            self.heard_at = at
        self.wake.set()

    @property
    def unsettled(self) -> int:
        """Attempts that are being started or reported: nobody could adopt them as they are."""
        return len(self._claims - self._held.keys())

    def knows(self, claim: Claim) -> bool:
        """Whether the attempt of this claim has a slot here, started or not."""
        return claim in self._claims

    def take_slot(self, claim: Claim) -> None:
        """An adopted attempt takes one even past the limit."""
        self._claims.add(claim)

    def vacate_slot(self, claim: Claim) -> None:
        """Its program has ended: the next attempt may be claimed while this one is reported."""
        before = self.free
        self._vacated.add(claim)
        self._wake_if_freer_than(before)

    def free_slot(self, claim: Claim) -> None:
        before = self.free
        self._claims.discard(claim)
        self._vacated.discard(claim)
        self._wake_if_freer_than(before)

    def _wake_if_freer_than(self, before: int) -> None:
        if self.free > before:
            self.wake.set()

    @contextmanager
    def holding(self, held: Held) -> Iterator[None]:
        """The attempt is renewed, and can be stopped, for the length of the block."""
        self._held[held.claim] = held
        if self._stopping:
            held.process.stop(Stop.WORKER)
        try:
            yield
        finally:
            del self._held[held.claim]
            self._disowned.discard(held.claim)

    def disown(self, held: Held) -> None:
        """Stops what is no longer ours by the database's word. Its end is not reported: after a failover to
        a server that lacks the claim, the same job may run under the same fence for somebody else.
        """
        self._disowned.add(held.claim)
        held.process.stop()

    def is_disowned(self, claim: Claim) -> bool:
        return claim in self._disowned

    def all(self) -> tuple[Held, ...]:
        return tuple(self._held.values())

    def deadline(self, *, is_last_attempt: bool) -> float:
        """Until when (Clock.elapsed()) a program may live under the lease as it is now."""
        return self.terms.deadline(self.renewed_at, last=is_last_attempt)

    def stop(self, job_id: UUID) -> None:
        """Cancels what runs for this job; nothing where it has just ended."""
        for held in self.all():
            if held.claim.job_id == job_id:
                held.process.stop()

    def stop_all(self) -> None:
        """The worker takes what runs with it, and what is just being started."""
        self._stopping = True
        for held in self.all():
            held.process.stop(Stop.WORKER)

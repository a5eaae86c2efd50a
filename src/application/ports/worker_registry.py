"""Which workers live, and the lease of all that each of them holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from domain.worker import Holding, LeaseTerms, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What the session still holds, by the database's word. Anything else it runs is no longer its own."""

    holdings: tuple[Holding, ...]
    draining: bool


class WorkerRegistry(Protocol):
    """Sessions of workers. Raises DatabaseUnavailable."""

    async def join(self, worker: Worker, terms: LeaseTerms) -> None:
        """Begins a session with a fresh lease. The worker's id must never have been used."""

    async def renew(self, session_id: UUID, terms: LeaseTerms) -> Renewal | None:
        """Extends the lease of all that the session holds, in one statement.

        None: the session is dead. Its worker begins a new one and adopts what is still its own.
        """

    async def leave(self, session_id: UUID) -> None:
        """Ends the session; call it only when nothing is held any more. What it held all the same is
        rescued without waiting for the lease.
        """

    async def drain(self, worker_id: UUID) -> Worker:
        """The worker claims nothing more. Raises WorkerNotFound."""

    async def list(self) -> Sequence[Worker]:
        """Those that live, the oldest first."""

    async def forget_dead(self, older_than_seconds: float) -> int:
        """Deletes dead sessions that hold nothing; returns how many."""

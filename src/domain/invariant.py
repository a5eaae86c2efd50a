"""What must hold of the stored jobs, between any two changes, whoever was killed when."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Invariant(StrEnum):
    """The product never breaks one; a hand in the tables, a partial restore, or a bug can. In the order in
    which they are mended: a later one may be what an earlier one left.
    """

    QUEUED_IF_LIVE = "queued-if-live"
    """A job that is not final has its row in the queue. Without it nobody would ever run it."""

    FINAL_IF_GONE = "final-if-gone"
    """A final job has no row in the queue. With one it could be claimed again."""

    LEASED_IF_RUNNING = "leased-if-running"
    """Who runs a job has a session, whose lease ends. Without it nobody would ever call the attempt lost."""

    RESCUED_IF_DEAD = "rescued-if-dead"
    """Maintenance ends the attempts of dead workers within seconds. If not, no worker does maintenance."""

    COUNTED_IF_LIMITED = "counted-if-limited"
    """The jobs that run under a limit, and no others, hold its units. Else it lets in too few or too many."""

    AWAKE_IF_FREE = "awake-if-free"
    """A job is parked behind a limit only as long as the limit is full, or another was woken for its room."""


@dataclass(frozen=True, slots=True)
class Breach:
    """Which jobs, and where a limit is meant its scope (`key:customer`, `queue:night`)."""

    invariant: Invariant
    job_id: UUID
    scope: str | None = None

"""A named line of jobs."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue and what is in it now. `slots` limits its running jobs over all workers; None: no limit.

    `waiting` counts jobs that could run now but for a limit or a worker, `scheduled` those that
    wait for their `not_before`; `oldest_waiting_since` is since when the oldest could have run.
    """

    name: str
    slots: int | None = None
    paused_at: datetime | None = None
    paused_by: str | None = None
    waiting: int = 0
    scheduled: int = 0
    running: int = 0
    oldest_waiting_since: datetime | None = None

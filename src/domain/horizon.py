"""The client that keeps the database from forgetting dead rows."""

from dataclasses import dataclass
from typing import Final

LONG_SECONDS: Final = 60.0
"""Beside a transaction that is open for longer, claims under full load become slow."""


@dataclass(frozen=True, slots=True)
class HorizonHolder:
    """The client whose open transaction is the oldest, and for how long it has been open."""

    pid: int
    application_name: str
    state: str
    seconds: float

    def __str__(self) -> str:
        name = self.application_name or "a client without a name"
        return f"process {self.pid} of the database ({name}, {self.state})"

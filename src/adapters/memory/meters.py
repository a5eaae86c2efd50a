"""Counts in a dictionary."""

from collections import defaultdict
from collections.abc import Sequence

from application.ports.meters import Renewed
from domain.attempt import Ending

Figure = tuple[str, tuple[tuple[str, str], ...]]


class MemoryMeters:
    """Meters. `figures` holds each sample by name and labels; of a histogram its count and its sum."""

    def __init__(self) -> None:
        self.figures: defaultdict[Figure, float] = defaultdict(float)

    def read(self, name: str, **labels: str) -> float:
        return self.figures[name, tuple(sorted(labels.items()))]

    def submitted(self, jobs: int) -> None:
        self._add("etl_jobs_submitted_total", jobs)

    def claimed(self, seconds: float, waited: Sequence[float]) -> None:
        self._add("etl_jobs_claimed_total", len(waited))
        self._observe("etl_claim_seconds", seconds)
        for wait in waited:
            self._observe("etl_job_wait_seconds", max(0.0, wait))

    def woken(self, seconds: float) -> None:
        self._observe("etl_wakeup_seconds", seconds)

    def program_started(self, seconds: float) -> None:
        self._observe("etl_process_start_seconds", seconds)

    def attempt_ended(self, ending: Ending) -> None:
        self._add("etl_attempts_total", 1, outcome=ending.outcome, reason=ending.reason.code)
        self._add("etl_log_bytes_total", ending.exit.log_bytes)
        self._add("etl_log_lost_bytes_total", ending.exit.log_lost_bytes)
        if ending.exit.usage is not None:
            self._observe("etl_attempt_seconds", ending.exit.usage.wall_seconds)

    def rescued(self, attempts: int) -> None:
        self._add("etl_attempts_rescued_total", attempts)

    def renewed(self, how: Renewed) -> None:
        self._add("etl_lease_renewals_total", 1, result=how)

    def answered(self, operation: str, method: str, status: int, seconds: float) -> None:
        self._add("etl_http_requests_total", 1, operation=operation, method=method, status=str(status))
        self._observe("etl_http_request_seconds", seconds, operation=operation)

    def _add(self, name: str, amount: float, **labels: str) -> None:
        self.figures[name, tuple(sorted((k, str(v)) for k, v in labels.items()))] += amount

    def _observe(self, name: str, value: float, **labels: str) -> None:
        self._add(f"{name}_count", 1, **labels)
        self._add(f"{name}_sum", value, **labels)

"""How often callers may call, and what answers tell of it (IETF draft httpapi-ratelimit-headers)."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Final

from litestar.types import HTTPScope

from application.limit_rate import LimitRate, Quota
from application.ports.clock import Clock
from application.ports.rate_limits import RateLimits
from domain.access import Principal
from domain.errors import DatabaseUnavailable, RateExceeded
from domain.rate import Rate
from entrypoints.http.addresses import Addresses
from entrypoints.http.refusals import FailuresNotCounted, TooManyStreams
from entrypoints.telemetry import Outage

PRINCIPAL: Final = "principal"
FAILURES: Final = "failures"
MAX_STREAMS: Final = 20
"""Of one caller at once."""

_STATE: Final = "quota"
_STREAM: Final = "stream"


class RequestLimits:
    """One limit for each caller who is known, one for each address that fails to say who it is."""

    def __init__(
        self,
        limits: RateLimits,
        clock: Clock,
        callers: Rate | None,
        failures: Rate | None,
        *,
        addresses: Addresses,
    ) -> None:
        self._callers = None if callers is None else LimitRate(limits, clock, callers, PRINCIPAL)
        self._failures = None if failures is None else LimitRate(limits, clock, failures, FAILURES)
        self.addresses = addresses
        self._streams: Counter[str] = Counter()
        self._outage = Outage("requests", "rate_limit")
        rates = ((PRINCIPAL, callers), (FAILURES, failures))
        self._policy = ", ".join(
            f'"{name}";q={r.quota};w={r.seconds:.0f}' for name, r in rates if r is not None
        ).encode()

    async def count(self, scope: HTTPScope, caller: Principal) -> None:
        """Raises RateExceeded. A limit that cannot be counted holds nobody up: who calls is known."""
        if self._callers is not None:
            await self._count(self._callers, caller.identity, scope)

    async def count_failure(self, scope: HTTPScope) -> None:
        """Raises RateExceeded, and FailuresNotCounted where nobody can tell how many there were."""
        scope["state"].pop(_STATE, None)  # was counted for somebody else, if at all
        if self._failures is not None and not await self._count(
            self._failures, self.addresses.site(scope), scope
        ):
            raise FailuresNotCounted("Failed logins cannot be counted at the moment; try again.")

    async def _count(self, limit: LimitRate, subject: str, scope: HTTPScope) -> bool:
        """Whether it was counted."""
        try:
            quota = await limit(subject)
        except DatabaseUnavailable:
            self._outage.began()
            return False
        except RateExceeded as error:
            scope["state"][_STATE] = limit.kind, Quota(limit.rate, 0, error.retry_after_seconds)
            raise
        self._outage.ended()
        scope["state"][_STATE] = limit.kind, quota
        return True

    def count_stream(self, scope: HTTPScope, caller: Principal) -> None:
        """Until the request has ended (`finished`). Raises TooManyStreams. Each process counts for itself:
        it is its connections that run out.
        """
        if self._streams[caller.identity] >= MAX_STREAMS:
            raise TooManyStreams(f"No more than {MAX_STREAMS} live streams are open to you at once.")
        self._streams[caller.identity] += 1
        scope["state"][_STREAM] = caller.identity

    def finished(self, scope: HTTPScope) -> None:
        if (identity := scope["state"].pop(_STREAM, None)) is not None:
            self._streams[identity] -= 1
            if not self._streams[identity]:
                del self._streams[identity]

    def headers(self, scope: HTTPScope) -> Iterator[tuple[bytes, bytes]]:
        """Of every answer: what was counted, else what is left to the address."""
        if self._policy:
            yield b"ratelimit-policy", self._policy
        counted = scope.get("state", {}).get(_STATE)
        if counted is None and self._failures is not None:
            counted = FAILURES, self._failures.known(self.addresses.site(scope))
        if counted is not None:
            name, quota = counted
            told = f'"{name}";r={quota.left};t={math.ceil(quota.full_in_seconds)}'
            yield b"ratelimit", told.encode()

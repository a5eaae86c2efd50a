"""How the HTTP API is set up."""

from dataclasses import dataclass
from typing import Final

LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """Filled by the settings.

    `hosts` are the names under which this server may be called, without port; empty: any, and
    with `auth` off: the loopback names. `cors_origins` are written as browsers send them
    (`https://example.org`). A body must have arrived within `body_seconds`.
    """

    auth: bool = True
    max_body: int = 1024 * 1024
    hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    docs: bool = True
    open_metrics: bool = False
    body_seconds: float = 30.0
    version: str = "0.1.0"

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Without auth a page that rebinds its own name to 127.0.0.1 would be let in by any `Host`."""
        return frozenset(self.hosts if self.auth else (*LOOPBACK_HOSTS, *self.hosts))

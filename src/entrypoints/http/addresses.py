"""Where a request comes from."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from litestar.datastructures import Headers
from litestar.types import HTTPScope

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN: Final = "unknown"
SITE_BITS: Final = 64
"""Of an IPv6 address these are somebody's; within them anybody makes up as many as they like."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Anybody may write `X-Forwarded-For`: it is read from its end, as far as proxies of ours wrote it."""

    trusted: tuple[Network, ...] = ()

    @classmethod
    def behind(cls, proxies: tuple[str, ...]) -> "Addresses":
        return cls(tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies))

    def client(self, scope: HTTPScope) -> str:
        """The address of the caller, or of the last proxy that is not ours."""
        peer = scope.get("client")
        address = _parsed(peer[0]) if peer else None
        if address is None:
            return UNKNOWN
        if self.trusted and self._is_trusted(address):
            told = ",".join(Headers.from_scope(scope).getall("x-forwarded-for", []))
            for text in reversed(told.split(",")):
                if (before := _parsed(text.strip())) is None:
                    break
                address = before
                if not self._is_trusted(address):
                    break
        return str(address)

    def site(self, scope: HTTPScope) -> str:
        """Whom failed logins are counted for."""
        address = _parsed(client := self.client(scope))
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((address, SITE_BITS), strict=False))
        return client

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self.trusted)


@lru_cache(maxsize=1024)  # the same few ask again and again
def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address

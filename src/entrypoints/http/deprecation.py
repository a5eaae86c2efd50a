"""How an operation says that it will go: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) on every answer."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope

from entrypoints.http.header import Header

POLICY: Final = "/api/versioning"
"""The page that says how long what is deprecated stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """From `since` on nobody should begin to use the operation; from `sunset` on it may be gone.

    Both are instants in UTC. `instead` is a sentence for the document; `successor` is the path of what to
    call, where one thing replaces it (RFC 5829).
    """

    since: datetime
    sunset: datetime
    instead: str
    successor: str | None = None

    def headers(self) -> dict[str, str]:
        links = [f'<{POLICY}>; rel="deprecation"; type="text/html"']
        if self.successor is not None:
            links.append(f'<{self.successor}>; rel="successor-version"')
        return {
            "Deprecation": f"@{int(self.since.timestamp())}",
            "Sunset": format_datetime(self.sunset, usegmt=True),
            "Link": ", ".join(links),
        }


def headers_told(deprecation: Deprecation) -> dict[str, Header]:
    """The same headers, for the document."""
    meanings = {
        "Deprecation": "Since when it is deprecated (RFC 9745).",
        "Sunset": "When it may be gone (RFC 8594).",
        "Link": "The policy, and what to call instead.",
    }
    sent = deprecation.headers()
    return {name: Header(meaning, sent[name]) for name, meaning in meanings.items()}


def deprecation_of(scope: HTTPScope) -> dict[str, str]:
    """The headers of the operation that the router has found, if it is deprecated."""
    handler = scope.get("route_handler")
    made = handler.opt.get("deprecation") if isinstance(handler, HTTPRouteHandler) else None
    return made.headers() if isinstance(made, Deprecation) else {}

"""Around the router: HEAD, `Allow`, and the headers of what is deprecated."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import HttpMethod, ScopeType
from litestar.types import HTTPScope, Message, Receive, Scope, Send

from entrypoints.http.deprecation import deprecation_of
from entrypoints.http.head import Head

ALLOW: Final = "allow"


@dataclass(frozen=True, slots=True)
class Methods:
    """The router, with what it leaves out of the standard's methods (RFC 9110, 9.3 and 10.2.1)."""

    app: Litestar

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
        elif scope["method"] == HttpMethod.HEAD:
            head = Head(receive, self._marking(scope, send))
            scope["method"] = HttpMethod.GET
            try:
                await self.app(scope, head.receiving, head.sending)
            finally:
                scope["method"] = HttpMethod.HEAD
        else:
            await self.app(scope, receive, self._marking(scope, send))

    def _marking(self, scope: HTTPScope, send: Send) -> Send:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                for name, value in deprecation_of(scope).items():
                    headers.add(name, value)
                if ALLOW in headers:
                    headers[ALLOW] = ", ".join(sorted(self._methods(scope, headers[ALLOW])))
            await send(message)

        return marked

    def _methods(self, scope: HTTPScope, told: str) -> Iterable[str]:
        """The router's answer to OPTIONS names only the methods of the handler that was registered first,
        and HEAD goes wherever GET goes.
        """
        methods = {method.strip() for method in told.split(",")}
        if scope["method"] == HttpMethod.OPTIONS:
            template = scope.get("path_template")
            for route in self.app.routes:
                if route.path_format == template:
                    methods.update(map(str, getattr(route, "methods", ())))
        return methods | {"HEAD"} if "GET" in methods else methods

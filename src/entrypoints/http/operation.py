"""One operation of the API, declared once: the router, the guard and the document read the same words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, Response, route
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import Dependency
from msgspec import Struct

from domain.access import Principal, Scope
from domain.errors import EtlError
from entrypoints.http.use_cases import UseCases

JSON: Final = "application/json"
Method = Literal["GET", "POST", "PATCH", "DELETE"]
HttpRequest = Request[Principal, Any, State]

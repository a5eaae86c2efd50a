"""The HTTP API as one ASGI application."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from application.ports.meters import Meters
from application.ports.tracer import Tracer
from domain.errors import EtlError
from entrypoints.http import (
    docs,
    health,
    jobs,
    keys,
    logs,
    metrics,
    problem_pages,
    queues,
    versioning,
    workers,
)
from entrypoints.http.auth import caller_of, guard_of
from entrypoints.http.config import HttpConfig
from entrypoints.http.front import Front
from entrypoints.http.methods import Methods
from entrypoints.http.problems import answer_error
from entrypoints.http.trust import Trust
from entrypoints.http.use_cases import UseCases

BASE: Final = "/api/v1"

__all__ = ["HttpConfig", "UseCases", "create_app"]


def create_app(use_cases: UseCases, config: HttpConfig, meters: Meters, tracer: Tracer) -> ASGIApp:
    """Opens nothing: whoever composes the process opens what the use cases need, before."""
    look_up = partial(caller_of, authenticate=use_cases.authenticate, limits=use_cases.limits)
    routes = Trust(Methods(routes_of(use_cases, config)), look_up)
    return Front(routes, config, meters, tracer, use_cases.limits)


def create_watch_app(use_cases: UseCases, config: HttpConfig, meters: Meters, tracer: Tracer) -> ASGIApp:
    """What a process without the API tells of itself: health and figures."""
    return Front(
        Methods(_litestar(use_cases, config, _watched(config))), config, meters, tracer, use_cases.limits
    )


def routes_of(use_cases: UseCases, config: HttpConfig) -> Litestar:
    """The router without what stands around it."""
    nouns = (jobs, logs, queues, workers, keys)
    base = Router(BASE, route_handlers=[handler for noun in nouns for handler in noun.HANDLERS])
    pages = docs.HANDLERS if config.docs else docs.HANDLERS[:1]
    return _litestar(use_cases, config, [base, *_watched(config), *versioning.HANDLERS, *pages])


def _watched(config: HttpConfig) -> list[HTTPRouteHandler]:
    figures = metrics.handlers_of(open_to_all=config.open_metrics)
    return [*health.HANDLERS, *figures, *problem_pages.HANDLERS]


def _litestar(
    use_cases: UseCases, config: HttpConfig, handlers: Sequence[Router | HTTPRouteHandler]
) -> Litestar:
    return Litestar(
        route_handlers=handlers,
        # The only one: two would be provided side by side, in tasks, which takes longer than what they do.
        dependencies={"use_cases": Provide(lambda: use_cases, sync_to_thread=False)},
        guards=[guard_of(use_cases.authenticate, use_cases.limits, auth=config.auth)],
        exception_handlers={EtlError: answer_error, HTTPException: answer_error, Exception: answer_error},
        openapi_config=None,
        logging_config=None,
        debug=False,
        state=State({"version": config.version}),
    )

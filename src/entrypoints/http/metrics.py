"""The moment's figures in Prometheus' text format."""

from typing import Final

from litestar import Response
from litestar.handlers import HTTPRouteHandler

from domain.access import Scope
from domain.errors import DatabaseUnavailable
from entrypoints.http.operation import Answer, Cases, operation

TEXT: Final = "text/plain; version=0.0.4"
"""Litestar adds the charset. Said twice, it is a header that Prometheus 3 refuses to read."""


def handlers_of(*, open_to_all: bool) -> tuple[HTTPRouteHandler, ...]:
    """Without a key where only this machine can ask."""

    @operation(
        "GET",
        "/metrics",
        id="metrics",
        tag="health",
        summary="Figures for Prometheus",
        scopes=() if open_to_all else (Scope.METRICS_READ,),
        answers=(Answer(200, "One moment, in the text format 0.0.4.", media="text/plain"),),
        errors=(DatabaseUnavailable,),
    )
    async def metrics(use_cases: Cases) -> Response[bytes]:
        """What this process has counted, depth and age of every queue, slots of every worker."""
        return Response(await use_cases.exposition.text(), media_type=TEXT)

    return (metrics,)

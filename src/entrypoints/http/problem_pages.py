"""/problems/CODE: what each error means, from the docstring of its class."""

import inspect
from collections.abc import Iterator
from html import escape
from typing import Final

from litestar import MediaType, Response
from litestar.params import FromPath

from domain.errors import EtlError
from entrypoints.http.operation import Answer, operation
from entrypoints.http.problems import status_of
from entrypoints.http.refusals import RouteNotFound

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p><code>{code}</code>, HTTP {status}</p><p>{text}</p></body></html>
"""


def every_error() -> dict[str, type[EtlError]]:
    """By code."""
    return {error.code: error for error in _below(EtlError)}


def _below(error: type[EtlError]) -> Iterator[type[EtlError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from _below(kind)


def page_of(error: type[EtlError]) -> str:
    text = " ".join(inspect.cleandoc(error.__doc__ or "").split())
    return _PAGE.format(
        title=escape(error.title), code=error.code, status=status_of(error), text=escape(text)
    )


@operation(
    "GET",
    "/problems/{code:str}",
    id="explainProblem",
    tag="problems",
    summary="What an error means",
    scopes=(),
    answers=(Answer(200, "A page for people.", media="text/html"),),
    errors=(RouteNotFound,),
)
async def explain_problem(code: FromPath[str]) -> Response[str]:
    """The `type` of every problem leads here."""
    error = every_error().get(code)
    if error is None:
        raise RouteNotFound("There is no error of this code.")
    return Response(page_of(error), media_type=MediaType.HTML, headers={"Cache-Control": "max-age=3600"})


HANDLERS: Final = (explain_problem,)

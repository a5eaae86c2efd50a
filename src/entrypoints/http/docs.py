"""The OpenAPI document and Swagger UI. Everything is served from here: it works with no internet."""

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from litestar import Litestar, MediaType, Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrypoints.http.openapi import document_of
from entrypoints.http.operation import JSON, Answer, HttpRequest, operation
from entrypoints.http.refusals import RouteNotFound

ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
START: Final = """\
window.ui = SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
"""
PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>ETL Orchestrator</title>
<link rel="icon" href="/api/docs/favicon-32x32.png">
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script>
</body>
</html>
"""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets style attributes and draws its icons from data: addresses. Scripts come from here alone."""

CACHED: Final = {"Cache-Control": "max-age=3600"}


@operation(
    "GET",
    "/api/openapi.json",
    id="readOpenapi",
    tag="docs",
    summary="This document",
    scopes=(),
    answers=(Answer(200, "OpenAPI 3.1.", media=JSON),),
)
async def read_openapi(request: HttpRequest) -> Response[bytes]:
    """Made from the same declarations as the routes."""
    return Response(_document(request.app), media_type=JSON, headers={"Cache-Control": "no-cache"})


@cache
def _document(app: Litestar) -> bytes:
    return msgspec.json.encode(document_of(app))


@operation(
    "GET",
    "/api/docs",
    id="readDocs",
    tag="docs",
    summary="This document, to be read and tried",
    scopes=(),
    answers=(Answer(200, "A page for people.", media="text/html"),),
)
async def read_docs() -> Response[str]:
    """Swagger UI."""
    return Response(PAGE, media_type=MediaType.HTML, headers={"Content-Security-Policy": POLICY, **CACHED})


@operation(
    "GET",
    "/api/docs/{asset:str}",
    id="readDocsAsset",
    tag="docs",
    summary="A part of the docs' page",
    scopes=(),
    answers=(Answer(200, "The file.", media="text/css", also={"text/javascript": None, "image/png": None}),),
    errors=(RouteNotFound,),
)
async def read_docs_asset(asset: FromPath[str]) -> Response[bytes]:
    """From the installed package."""
    if asset == "start.js":
        return Response(START.encode(), media_type="text/javascript", headers=CACHED)
    if asset not in ASSETS:
        raise RouteNotFound("There is no such file.")
    return Response(_asset(asset), media_type=ASSETS[asset], headers=CACHED)


@cache
def _asset(name: str) -> bytes:
    return (files("swagger_ui") / "static" / name).read_bytes()


HANDLERS: Final[tuple[HTTPRouteHandler, ...]] = (read_openapi, read_docs, read_docs_asset)

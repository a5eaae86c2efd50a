"""The OpenAPI 3.1 document, from the declarations that the routes are made of."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import groupby
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from domain.access import Scope
from domain.errors import EtlError, MissingScope, RateExceeded, TokenKeysUnavailable, Unauthenticated
from entrypoints.http.operation import JSON, Answer, NoQuery, Operation
from entrypoints.http.problems import PROBLEM_JSON, Problem, status_of, type_of
from entrypoints.http.reading import with_plain_patterns
from entrypoints.http.refusals import (
    BodyTooLarge,
    BodyTooSlow,
    FailuresNotCounted,
    HostNotAllowed,
    InternalError,
    MalformedJson,
    OriginNotAllowed,
    SchemaBroken,
    TwoCredentials,
    UnsupportedMediaType,
    WrongParameter,
)

REFERENCE: Final = "#/components/schemas/{name}"
BODY_ERRORS: Final = (MalformedJson, SchemaBroken, BodyTooLarge, BodyTooSlow, UnsupportedMediaType)
DOOR_ERRORS: Final = (OriginNotAllowed, HostNotAllowed, InternalError)
KEY_ERRORS: Final = (
    TwoCredentials,
    Unauthenticated,
    MissingScope,
    RateExceeded,
    TokenKeysUnavailable,
    FailuresNotCounted,
)
LIMITS: Final = {
    "RateLimit-Policy": "Which limits there are (IETF draft httpapi-ratelimit-headers).",
    "RateLimit": "How many requests are left (`r`), and in how many seconds all are there again (`t`).",
}
SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"apiKey": []}]

Json = dict[str, Any]


def document_of(app: Litestar) -> Json:
    found = sorted(_operations(app), key=lambda entry: entry[0])
    kinds = {kind for _, _, made in found for kind in _kinds(made)}
    ordered = sorted(kinds, key=lambda kind: str(kind.__name__))
    _, components = msgspec.json.schema_components(ordered, ref_template=REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ETL Orchestrator",
            "version": app.state.version,
            "description": "Runs a team's scripts: a durable queue, and supervised processes.",
        },
        "paths": {
            path: {method: _operation(path, made) for _, method, made in entries}
            for path, entries in groupby(found, key=lambda entry: entry[0])
        },
        "components": {
            "schemas": with_plain_patterns(components),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (`etl_…`) or an access token (JWT).",
                },
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operations(app: Litestar) -> Iterator[tuple[str, str, Operation]]:
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            made = handler.opt.get("operation")
            if isinstance(made, Operation):
                path = route.path.replace(":str}", "}")
                yield from ((path, str(method).lower(), made) for method in handler.http_methods)


def _kinds(made: Operation) -> Iterator[type]:
    yield Problem
    if made.body is not None:
        yield made.body
    for answer in made.answers:
        yield from (kind for kind in (answer.content, *answer.also.values()) if kind is not None)


def _operation(path: str, made: Operation) -> Json:
    described: Json = {
        "operationId": made.id,
        "tags": [made.tag],
        "summary": made.summary,
        "description": made.description + _needs(made.scopes),
        "security": SECURITY if made.scopes else [],
        "parameters": [*_path_parameters(path), *_query_parameters(made), *_header_parameters(made)],
        "responses": _responses(made),
    }
    if made.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": _reference(made.body)}}}
    return described


def _needs(scopes: tuple[Scope, ...]) -> str:
    return f" Scope: {' or '.join(f'`{scope}`' for scope in scopes)}." if scopes else ""


def _path_parameters(path: str) -> Iterator[Json]:
    for part in path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            schema = {"type": "string", "format": "uuid"} if name.endswith("_id") else {"type": "string"}
            yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(made: Operation) -> Iterator[Json]:
    schema = msgspec.json.schema(made.query, ref_template="{name}")
    shapes = schema["$defs"]
    for name, shape in shapes[made.query.__name__]["properties"].items():
        plain = _resolved(with_plain_patterns(shape), shapes)
        described = {"name": name, "in": "query", "schema": plain}
        yield {**described, "description": plain.pop("description", "")}


def _resolved(shape: Any, shapes: Json) -> Any:
    """Enumerations of parameters stand in place: they are no schemas of their own."""
    if isinstance(shape, dict):
        inner = {name: _resolved(value, shapes) for name, value in shape.items() if name != "$ref"}
        return _resolved(shapes[shape["$ref"]], shapes) | inner if "$ref" in shape else inner
    return [_resolved(item, shapes) for item in shape] if isinstance(shape, list) else shape


def _header_parameters(made: Operation) -> Iterator[Json]:
    for name, description in made.headers.items():
        if name != "Accept":  # the document says it by the media types of the answers (OpenAPI 3.1, 4.8.12)
            yield {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _responses(made: Operation) -> Json:
    responses = {str(answer.status): _answer(answer) for answer in made.answers}
    for status, errors in _by_status(errors_of(made)):
        problem = _problem(status, errors)
        if str(status) in responses:  # a 503 of its own, beside that of the database
            responses[str(status)]["content"] |= problem["content"]
        else:
            responses[str(status)] = problem
    return responses


def errors_of(made: Operation) -> tuple[type[EtlError], ...]:
    """Everything that can go wrong: what it declares, and what comes with its shape."""
    return (
        *made.errors,
        *(BODY_ERRORS if made.body is not None else (UnsupportedMediaType, BodyTooLarge)),
        *(() if made.query is NoQuery and not made.headers else (WrongParameter,)),
        *(KEY_ERRORS if made.scopes else ()),
        *DOOR_ERRORS,
    )


def _by_status(errors: Iterable[type[EtlError]]) -> Iterator[tuple[int, list[type[EtlError]]]]:
    for status, group in groupby(sorted(set(errors), key=lambda e: (status_of(e), e.code)), key=status_of):
        yield status, list(group)


def _answer(answer: Answer) -> Json:
    described: Json = {"description": answer.description}
    headers = {**answer.headers, **LIMITS, "X-Request-Id": "Names this exchange; stands in the logs."}
    described["headers"] = {n: {"description": d, "schema": {"type": "string"}} for n, d in headers.items()}
    if answer.media is not None:
        media = {answer.media: answer.content, **answer.also}
        described["content"] = {name: {"schema": _reference(kind)} for name, kind in media.items()}
    return described


def _problem(status: int, errors: list[type[EtlError]]) -> Json:
    named = "; ".join(f"[`{error.code}`]({type_of(error)})" for error in errors)
    return {
        "description": f"{HTTPStatus(status).phrase}: {named}",
        "content": {PROBLEM_JSON: {"schema": _reference(Problem)}},
    }


def _reference(kind: type | None) -> Json:
    return {} if kind is None else {"$ref": REFERENCE.format(name=kind.__name__)}

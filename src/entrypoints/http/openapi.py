"""The OpenAPI 3.1 document, from the declarations that the routes are made of."""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from itertools import groupby
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import Struct

from domain.access import Scope
from domain.errors import EtlError, MissingScope, RateExceeded, TokenKeysUnavailable, Unauthenticated
from entrypoints.http.deprecation import headers_told
from entrypoints.http.examples import problem_example, with_examples
from entrypoints.http.header import Header
from entrypoints.http.log_stream import EVENTS
from entrypoints.http.operation import JSON, Answer, NoQuery, Operation
from entrypoints.http.parameters import header_of, parameters_of
from entrypoints.http.problems import PROBLEM_JSON, Problem, status_of, type_of
from entrypoints.http.reading import with_plain_patterns
from entrypoints.http.refusals import (
    BodyTooLarge,
    BodyTooSlow,
    FailuresNotCounted,
    HeadTooLarge,
    HostNotAllowed,
    InternalError,
    MalformedJson,
    OriginNotAllowed,
    SchemaBroken,
    TwoCredentials,
    UnsupportedMediaType,
    WrongParameter,
)
from entrypoints.http.schemas import JobRequest

REFERENCE: Final = "#/components/schemas/{name}"
BODY_ERRORS: Final = (MalformedJson, SchemaBroken, BodyTooLarge, BodyTooSlow, UnsupportedMediaType)
DOOR_ERRORS: Final = (HeadTooLarge, OriginNotAllowed, HostNotAllowed, InternalError)
KEY_ERRORS: Final = (
    TwoCredentials,
    Unauthenticated,
    MissingScope,
    RateExceeded,
    TokenKeysUnavailable,
    FailuresNotCounted,
)
SCHEMES: Final[dict[str, dict[str, str]]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (`etl_…`) or a JWT."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key or a JWT."},
}
TAGS: Final = {
    "jobs": "Submit, watch, cancel, retry.",
    "logs": "What the programs wrote: as bytes, as lines, live.",
    "queues": "Named lines of jobs, with their limits.",
    "workers": "The processes that run jobs.",
    "keys": "Who may do what.",
    "health": "For those who start and stop processes.",
    "problems": "What each error means.",
    "docs": "This document.",
}
LIMITS: Final = {
    "RateLimit-Policy": Header(
        "Which limits there are (IETF draft httpapi-ratelimit-headers).", '"principal";q=600;w=60'
    ),
    "RateLimit": Header(
        "How many requests are left (`r`), and in how many seconds all are there again (`t`).",
        '"principal";r=599;t=1',
    ),
}
EVERY_ANSWER: Final = {
    **LIMITS,
    "X-Request-Id": Header("Names this exchange; stands in the logs.", "nightly-42"),
}
PROBLEM_HEADERS: Final = {
    401: {"WWW-Authenticate": Header("How to say who calls.", 'Bearer realm="etl"')},
    429: {"Retry-After": Header("Seconds.", "5")},
    503: {"Retry-After": Header("Seconds.", "5")},
}
ONE_PROGRAM: Final = {
    "oneOf": [
        {"required": ["script"], "properties": {"script": {"type": "string"}, "command": {"type": "null"}}},
        {"required": ["command"], "properties": {"command": {"type": "array"}, "script": {"type": "null"}}},
    ]
}
"""Exactly one of `script` and `command`: what no member's own type says. The domain holds it (422)."""

Json = dict[str, Any]


def document_of(app: Litestar) -> Json:
    # By method too: the router keeps its handlers in sets, and their order is another in each process.
    found = sorted(_operations(app), key=lambda entry: entry[:2])
    kinds = {kind for _, _, made in found for kind in _kinds(made)}
    ordered = sorted(kinds, key=lambda kind: str(kind.__name__))
    _, components = msgspec.json.schema_components(ordered, ref_template=REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ETL Orchestrator",
            "version": app.state.version,
            "description": "Runs a team's scripts: a durable queue, and supervised processes."
            " What may change within a version: [/api/versioning](/api/versioning).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Where this document was read."}],
        "tags": [{"name": name, "description": told} for name, told in TAGS.items()],
        "paths": {
            path: {method: _operation(path, made) for _, method, made in entries}
            for path, entries in groupby(found, key=lambda entry: entry[0])
        },
        "components": {
            "schemas": with_examples(_narrowed(with_plain_patterns(components))),
            "securitySchemes": SCHEMES,
            "headers": {name: header_of(header) for name, header in EVERY_ANSWER.items()},
            "examples": _problems(made for _, _, made in found),
        },
    }


def printed(document: Json) -> bytes:
    """As docs/openapi.json is committed, and `etl openapi` prints it."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _problems(operations: Iterable[Operation]) -> Json:
    errors = {error.code: error for made in operations for error in errors_of(made)}
    return {code: problem_example(error) for code, error in sorted(errors.items())}


def _narrowed(schemas: Json) -> Json:
    # In an `allOf`: generators of clients take a bare `oneOf` for a choice between types.
    name = JobRequest.__name__
    return {**schemas, name: {**schemas[name], "allOf": [ONE_PROGRAM]}} if name in schemas else schemas


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
        # Of other schemes than OAuth's the list names roles (OpenAPI 3.1, 4.8.30).
        "security": [{scheme: [scope]} for scope in made.scopes for scheme in SCHEMES],
        "parameters": parameters_of(path, made),
        "responses": _responses(made),
    }
    if made.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: _body(made.body, made.examples)}}
    if made.deprecation is not None:
        described["deprecated"] = True
        described["description"] += f" Deprecated: {made.deprecation.instead}"
    return described


def _body(kind: type, shown: Mapping[str, Struct]) -> Json:
    examples = {
        name: {"summary": name, "value": msgspec.json.decode(msgspec.json.encode(body))}
        for name, body in shown.items()
    }
    return {"schema": _reference(kind), "examples": examples}


def _needs(scopes: tuple[Scope, ...]) -> str:
    return f" Scope: {' or '.join(f'`{scope}`' for scope in scopes)}." if scopes else ""


def _responses(made: Operation) -> Json:
    every = EVERY_ANSWER | (headers_told(made.deprecation) if made.deprecation else {})
    responses = {str(answer.status): _answer(answer, every) for answer in made.answers}
    for status, errors in _by_status(errors_of(made)):
        problem = _problem(status, errors, every)
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


def _answer(answer: Answer, every: Mapping[str, Header]) -> Json:
    described: Json = {"description": answer.description, "headers": _headers({**answer.headers, **every})}
    if answer.media is not None:
        media = {answer.media: answer.content, **answer.also}
        described["content"] = {name: {"schema": _content(name, kind)} for name, kind in media.items()}
    return described


def _problem(status: int, errors: list[type[EtlError]], every: Mapping[str, Header]) -> Json:
    named = "; ".join(f"[`{error.code}`]({type_of(error)})" for error in errors)
    examples = {error.code: {"$ref": f"#/components/examples/{error.code}"} for error in errors}
    return {
        "description": f"{HTTPStatus(status).phrase}: {named}",
        "headers": _headers({**PROBLEM_HEADERS.get(status, {}), **every}),
        "content": {PROBLEM_JSON: {"schema": _reference(Problem), "examples": examples}},
    }


def _headers(headers: Mapping[str, Header]) -> Json:
    """Those of every answer stand in one place."""
    return {
        name: {"$ref": f"#/components/headers/{name}"} if name in EVERY_ANSWER else header_of(header)
        for name, header in headers.items()
    }


def _content(media: str, kind: type | None) -> Json:
    if kind is not None:
        return _reference(kind)
    return {"type": "string"} if media.startswith("text/") and media != EVENTS else {}


def _reference(kind: type) -> Json:
    return {"$ref": REFERENCE.format(name=kind.__name__)}

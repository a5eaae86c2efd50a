"""The parameters of an operation as the document tells them: in the path, the query and the headers."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from entrypoints.http.examples import PATH_EXAMPLES
from entrypoints.http.header import Header
from entrypoints.http.operation import Operation
from entrypoints.http.reading import with_plain_patterns
from entrypoints.http.request_types import QUEUE_NAME

Json = dict[str, Any]

_IN_PATH: Final = re.compile(r"\{(\w+)\}")
UUID: Final = {"type": "string", "format": "uuid"}
PATH: Final[dict[str, tuple[str, Json]]] = {
    "job_id": ("The job.", UUID),
    "worker_id": ("The worker.", UUID),
    "key_id": ("The API key; not its secret.", UUID),
    "name": ("The queue.", {"type": "string", "pattern": QUEUE_NAME}),
    "code": ("The `code` of a problem.", {"type": "string"}),
    "asset": ("A file of the page.", {"type": "string"}),
}


def parameters_of(path: str, made: Operation) -> list[Json]:
    return [*_path(path), *_query(made), *_headers(made)]


def _path(path: str) -> Iterator[Json]:
    for name in _IN_PATH.findall(path):
        description, schema = PATH[name]
        exemplified = {**with_plain_patterns(schema), "examples": [PATH_EXAMPLES[name]]}
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": description,
            "schema": exemplified,
        }


def _query(made: Operation) -> Iterator[Json]:
    schema = msgspec.json.schema(made.query, ref_template="{name}")
    shapes = schema["$defs"]
    for name, shape in shapes[made.query.__name__]["properties"].items():
        plain = _present(_resolved(with_plain_patterns(shape), shapes))
        description = plain.pop("description", "")
        yield {"name": name, "in": "query", "description": description, "schema": plain}


def _resolved(shape: Any, shapes: Json) -> Any:
    """Enumerations of parameters stand in place: they are no schemas of their own."""
    if isinstance(shape, dict):
        inner = {name: _resolved(value, shapes) for name, value in shape.items() if name != "$ref"}
        return _resolved(shapes[shape["$ref"]], shapes) | inner if "$ref" in shape else inner
    return [_resolved(item, shapes) for item in shape] if isinstance(shape, list) else shape


def _present(shape: Json) -> Json:
    """A parameter is left out or has a value: a query cannot hold null."""
    match shape:
        case {"anyOf": [given, {"type": "null"}], **rest}:
            return {**given, **{name: value for name, value in rest.items() if name != "default"}}
    return shape


def _headers(made: Operation) -> Iterator[Json]:
    for name, header in made.headers.items():
        if name != "Accept":  # the document says it by the media types of the answers (OpenAPI 3.1, 4.8.12)
            yield {"name": name, "in": "header", **header_of(header)}


def header_of(header: Header) -> Json:
    schema: Json = {"type": "string", "examples": [header.example]}
    if header.pattern is not None:
        schema["pattern"] = header.pattern
    return {"description": header.description, "schema": schema}

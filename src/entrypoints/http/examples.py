"""Examples of the document: of a shape from those of its members, of a problem from its class."""

import inspect
from typing import Any, Final

import msgspec

from domain.errors import EtlError
from entrypoints.http.problems import Fault, Problem, status_of, type_of
from entrypoints.http.refusals import SchemaBroken

Json = dict[str, Any]

ID: Final = "019a8e3c-5b7e-7c31-9a55-0b6f2f3f9d11"
PATH_EXAMPLES: Final = {
    "job_id": ID,
    "worker_id": ID,
    "key_id": ID,
    "name": "default",
    "code": "job-not-found",
    "asset": "start.js",
}
FAULT: Final = Fault(pointer="/priority", detail="must be from -100 to 100")


def example_of(shape: Json, schemas: Json) -> Any:
    """What its own example says, or its members'. Raises LookupError where nobody has one."""
    match shape:
        case {"examples": [first, *_]}:
            return first
        case {"$ref": str(reference)}:
            return example_of(schemas[reference.rpartition("/")[2]], schemas)
        case {"anyOf": [first, *_]}:
            return example_of(first, schemas)
        case {"enum": [first, *_]}:
            return first
        case {"type": "array", "items": items}:
            return [example_of(items, schemas)]
        case {"properties": properties}:
            return {name: example_of(member, schemas) for name, member in properties.items()}
    raise LookupError(f"no example: {shape}")


def with_examples(schemas: Json) -> Json:
    """Each with an example as a whole."""
    return {name: {**schema, "examples": [example_of(schema, schemas)]} for name, schema in schemas.items()}


def problem_example(error: type[EtlError]) -> Json:
    """How the answer looks when this goes wrong."""
    problem = Problem(
        type=type_of(error),
        title=error.title,
        status=status_of(error),
        detail=_first_sentence(error),
        instance=f"/api/v1/jobs/{ID}",
        code=error.code,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        errors=[FAULT] if issubclass(error, SchemaBroken) else [],
    )
    return {"summary": error.title, "value": msgspec.to_builtins(problem)}


def _first_sentence(error: type[EtlError]) -> str:
    text = " ".join(inspect.cleandoc(error.__doc__ or "").split())
    return text.partition(". ")[0].rstrip(".") + "."

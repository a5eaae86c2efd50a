"""Reading what a caller sent: strictly, and naming every place that is wrong."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Annotated, Any, Final, TypeVar, cast, get_args, get_origin
from urllib.parse import parse_qsl

import jsonschema_rs
import msgspec
from jsonschema_rs import ValidationErrorKind
from msgspec import Struct
from msgspec.structs import FieldInfo

from domain.errors import Place
from entrypoints.http.operation import HttpRequest
from entrypoints.http.refusals import MalformedJson, SchemaBroken, WrongParameter

S = TypeVar("S", bound=Struct)

MAX_PLACES: Final = 100
MAX_PARAMETERS: Final = 64
UNKNOWN: Final = "is not known here"
EXACT: Final = 2.0**53
"""Below it a float that is whole is the number that was written."""
MASK: Final = "this"
"""Stands for the value in messages: it may be a secret, and may be a megabyte."""

_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


async def body_of(request: HttpRequest, kind: type[S]) -> S:
    """The body. Raises MalformedJson, or SchemaBroken that names every place."""
    return decoded(await request.body(), kind)


def decoded(data: bytes, kind: type[S]) -> S:
    try:
        return cast("S", _decoder(kind).decode(data))
    except msgspec.ValidationError as error:
        if places := tuple(islice(_places(data, kind), MAX_PLACES)):
            raise _broken(*places) from None
        return _with_whole_numbers(data, kind, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from None


def _broken(*places: Place) -> SchemaBroken:
    return SchemaBroken("The body breaks its schema; `errors` names each place.", places)


def _malformed(error: Exception) -> MalformedJson:
    """The decoder's own words are wrong for a lone surrogate ("truncated"), so they are not passed on."""
    if isinstance(error, RecursionError):
        return MalformedJson("The body is nested too deeply.", [Place("", "is nested too deeply")])
    return MalformedJson("The body is not JSON in UTF-8.", [Place("", "is not JSON in UTF-8")])


@cache
def _decoder(kind: type[Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=True)


# -- whole numbers with a fraction of zero -------------------------------------------------------------


def _with_whole_numbers(data: bytes, kind: type[S], error: msgspec.ValidationError) -> S:
    """`5.0` is an integer by JSON Schema (2020-12, 6.1.1), but not by our decoder."""
    try:
        document = msgspec.json.decode(data)
    except msgspec.ValidationError:
        raise _broken(_first_place(error)) from None
    try:
        return cast("S", _decoder(kind).decode(msgspec.json.encode(_whole(document))))
    except msgspec.ValidationError as another:
        raise _broken(_first_place(another)) from None


def _whole(value: Any) -> Any:
    """A parameter that is 5.0 reaches the script so."""
    match value:
        case float() if value.is_integer() and abs(value) < EXACT:
            return int(value)
        case dict():
            return {name: held if name == "parameters" else _whole(held) for name, held in value.items()}
        case list():
            return [_whole(held) for held in value]
    return value


# -- all places of a broken body: msgspec stops at the first -------------------------------------------


def _places(data: bytes, kind: type[Struct]) -> Iterator[Place]:
    try:
        document = msgspec.json.decode(data)
    except msgspec.ValidationError:
        return  # a number that no JSON Schema can be asked about: 1e1000
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from None
    for broken in _validator(kind).iter_errors(document):
        for place in _told(broken):
            yield place if place.detail != UNKNOWN else _unknown(place.pointer, _members(kind))


@cache
def _validator(kind: type[Struct]) -> jsonschema_rs.Validator:
    schema = with_plain_patterns(msgspec.json.schema(kind))
    return jsonschema_rs.validator_for(schema, mask=MASK, validate_formats=True, offline=True)


def _told(error: jsonschema_rs.ValidationError) -> Iterator[Place]:
    pointer = "".join(f"/{_escaped(step)}" for step in error.instance_path)
    match error.kind:
        case ValidationErrorKind.AdditionalProperties(unexpected=names):
            for name in names:
                yield Place(f"{pointer}/{_escaped(name)}", UNKNOWN)
        case ValidationErrorKind.AnyOf(context=branches):
            yield from _nearest(branches, Place(pointer, _types_of(branches)))
        case _:
            yield Place(pointer, error.message)


def _nearest(
    branches: Sequence[Sequence[jsonschema_rs.ValidationError]], otherwise: Place
) -> Iterator[Place]:
    """What is wrong in the one branch that has the right type, if there is just one: in a nullable
    number that is too large, that it is too large, not that it is not null.
    """
    near = [branch for branch in branches if not any(_is_of_another_type(e, branch) for e in branch)]
    if len(near) != 1:
        yield otherwise
        return
    for error in near[0]:
        yield from _told(error)


def _is_of_another_type(
    error: jsonschema_rs.ValidationError, branch: Sequence[jsonschema_rs.ValidationError]
) -> bool:
    return (
        isinstance(error.kind, ValidationErrorKind.Type)
        and len(branch) == 1
        and error.schema_path[-1] == "type"
    )


def _types_of(branches: Sequence[Sequence[jsonschema_rs.ValidationError]]) -> str:
    """What would be right, where nothing of the given type is."""
    kinds = [error.kind for branch in branches for error in branch]
    types = [str(name) for kind in kinds if isinstance(kind, ValidationErrorKind.Type) for name in kind.types]
    if not types:
        return "is of none of the types that are allowed here"
    return f"must be {' or '.join(dict.fromkeys(types))}"


def _unknown(pointer: str, known: Iterable[str]) -> Place:
    """What was meant, if one of the known names is near."""
    near = get_close_matches(pointer.rpartition("/")[2], known, 1)
    return Place(pointer, f"{UNKNOWN}; did you mean `{near[0]}`?" if near else UNKNOWN)


@cache
def _members(kind: type[Struct]) -> frozenset[str]:
    """Of all objects of the body together."""
    shapes = msgspec.json.schema(kind)["$defs"].values()
    return frozenset(name for shape in shapes for name in shape.get("properties", ()))


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def _first_place(error: msgspec.ValidationError) -> Place:
    """What only msgspec saw, for instance an integer past 64 bits: `… - at `$.retry.on[0]``."""
    message, _, path = str(error).partition(" - at `$")
    steps = re.findall(r"[^.\[\]`]+", path)
    return Place("".join(f"/{_escaped(step)}" for step in steps if step != "..."), message)


def with_plain_patterns(schema: Any) -> Any:
    r"""The schema with `$` for the `\Z` that Python needs: there `$` takes a newline, in JSON Schema not."""
    if isinstance(schema, dict):
        plain = {name: with_plain_patterns(value) for name, value in schema.items()}
        if isinstance(pattern := plain.get("pattern"), str):
            plain["pattern"] = pattern.replace(r"\Z", "$")
        return plain
    return [with_plain_patterns(item) for item in schema] if isinstance(schema, list | tuple) else schema


# -- the query -----------------------------------------------------------------------------------------


def query_of(request: HttpRequest, kind: type[S]) -> S:
    """The parameters. Raises WrongParameter that names each: unknown, repeated, or of a wrong value."""
    given = _parameters(request.scope["query_string"])
    fields = _parameters_of(kind)
    places = [_unknown(name, fields) for name in given if name not in fields]
    values: dict[str, Any] = {}
    for name, texts in given.items():
        if name in fields:
            try:
                values[fields[name].name] = _value(texts, fields[name].type)
            except msgspec.ValidationError as error:
                places.append(Place(name, _what_is_right(error, fields[name].type)))
    if places:
        raise WrongParameter("The query is wrong; `errors` names each parameter.", places)
    return kind(**values)


@cache
def _parameters_of(kind: type[Struct]) -> Mapping[str, FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _what_is_right(error: msgspec.ValidationError, kind: Any) -> str:
    """The decoder's sentence, without the value; its own for an enumeration does not name what there is."""
    message = str(error).partition(" - at `$")[0]
    if not message.startswith("Invalid enum value"):
        return message
    schema, shapes = msgspec.json.schema_components([kind], ref_template="{name}")
    found = [shape["enum"] for shape in (*shapes.values(), *_parts(schema)) if "enum" in shape]
    return f"must be {' or '.join(str(value) for values in found for value in values)}"


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    for part in schema if isinstance(schema, list | tuple) else [schema]:
        if isinstance(part, dict):
            yield part
            for held in part.values():
                yield from _parts(held)


def _parameters(query: bytes) -> Mapping[str, list[str]]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        raise WrongParameter("The query is not UTF-8, or holds too many parameters.") from None
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    return given


def _value(texts: list[str], kind: Any) -> Any:
    """Numbers are read as JSON reads them: `int("1_0")` is 10, and takes digits of any script."""
    if _may_repeat(kind):
        return msgspec.convert(texts, kind)
    if len(texts) > 1:
        raise msgspec.ValidationError("is given more than once")
    if _NUMBER.fullmatch(texts[0]):
        try:
            return msgspec.json.decode(texts[0], type=kind)
        except msgspec.DecodeError as error:
            as_number = error
    else:
        as_number = None
    try:
        return msgspec.convert(texts[0], kind)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(str(as_number or error)) from None


def _may_repeat(kind: Any) -> bool:
    return get_origin(get_args(kind)[0] if get_origin(kind) is Annotated else kind) is tuple

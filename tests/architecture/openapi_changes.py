"""What of a new OpenAPI document would break a client that was written for the old one (docs/api.md).

What a request may hold must only grow; what an answer holds must only gain members, never values.
"""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
METHODS = ("get", "put", "post", "delete", "patch")
LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
FORMS = ("pattern", "format", "oneOf", "allOf")
MAX_SUCCESS = 399


def breaking(old: Json, new: Json) -> list[str]:
    """A sentence for each change that a client would notice."""
    return list(dict.fromkeys(Comparison(old, new).changes()))


class Comparison:
    """Of two documents; each pair of schemas is looked at once in each direction."""

    def __init__(self, old: Json, new: Json) -> None:
        self.old, self.new = old, new
        self._seen: set[tuple[str, str, bool]] = set()

    def changes(self) -> Iterator[str]:
        for path, methods in self.old["paths"].items():
            for method in METHODS:
                if method not in methods:
                    continue
                where, now = f"{method.upper()} {path}", self.new["paths"].get(path, {}).get(method)
                if now is None:
                    yield f"{where} is gone"
                else:
                    yield from self._operation(where, methods[method], now)

    def _operation(self, where: str, old: Json, new: Json) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{where}: the operation is called {new['operationId']} and was {old['operationId']}"
        if lost := [need for need in old["security"] if need not in new["security"]]:
            yield f"{where}: no longer opened by {lost}"
        if new["security"] and not old["security"]:
            yield f"{where}: asks for a key now"
        yield from self._parameters(where, old, new)
        yield from self._body(where, old.get("requestBody"), new.get("requestBody"))
        yield from self._answers(where, old["responses"], new["responses"])

    # -- requests ------------------------------------------------------------------------------

    def _parameters(self, where: str, old: Json, new: Json) -> Iterator[str]:
        before, after = _by_name(old), _by_name(new)
        for name, parameter in before.items():
            if name not in after:
                yield f"{where}: the parameter {name} is gone"
                continue
            if after[name].get("required") and not parameter.get("required"):
                yield f"{where}: the parameter {name} is required now"
            yield from self._schema(
                f"{where}: parameter {name}", parameter["schema"], after[name]["schema"], request=True
            )
        for name in after.keys() - before.keys():
            if after[name].get("required"):
                yield f"{where}: a new parameter {name} is required"

    def _body(self, where: str, old: Json | None, new: Json | None) -> Iterator[str]:
        if old is None or new is None:
            if old != new:
                yield f"{where}: takes {'no' if new is None else 'a'} body now"
            return
        for media, content in old["content"].items():
            if media not in new["content"]:
                yield f"{where}: a body of {media} is no longer taken"
            else:
                now = new["content"][media]["schema"]
                yield from self._schema(f"{where}: body", content["schema"], now, request=True)

    # -- answers -------------------------------------------------------------------------------

    def _answers(self, where: str, old: Json, new: Json) -> Iterator[str]:
        good = {status for status in old if int(status) <= MAX_SUCCESS}
        for status in sorted(good ^ {status for status in new if int(status) <= MAX_SUCCESS}):
            yield f"{where}: {status} is {'gone' if status in good else 'a new answer'}"
        for status in sorted(old.keys() & new.keys()):
            at = f"{where}: {status}"
            for name in old[status].get("headers", {}).keys() - new[status].get("headers", {}).keys():
                yield f"{at}: the header {name} is gone"
            for media, content in old[status].get("content", {}).items():
                now = new[status].get("content", {}).get(media)
                if now is None:
                    yield f"{at}: {media} is gone"
                else:
                    yield from self._schema(at, content["schema"], now["schema"], request=False)

    # -- schemas -------------------------------------------------------------------------------

    def _schema(self, where: str, old: Json, new: Json, *, request: bool) -> Iterator[str]:
        pair = (old.get("$ref", ""), new.get("$ref", ""), request)
        if all(pair[:2]):
            if pair in self._seen:
                return
            self._seen.add(pair)
            where = old["$ref"].rpartition("/")[2] + (" in a request" if request else " in an answer")
        before, after = _kinds(old, self.old), _kinds(new, self.new)
        if {} in before.values() or {} in after.values():
            if before != after:
                yield f"{where}: what it may be has changed"
            return
        wider, narrower = (after, before) if request else (before, after)
        for kind in sorted(narrower.keys() - wider.keys()):
            yield f"{where}: {kind} is {'no longer taken' if request else 'a new type'}"
        for kind in sorted(before.keys() & after.keys()):
            yield from self._kind(where, before[kind], after[kind], request=request)

    def _kind(self, where: str, old: Json, new: Json, *, request: bool) -> Iterator[str]:
        yield from _values(where, old, new, request=request)
        if request:
            yield from _limits(where, old, new)
        yield from self._members(where, old, new, request=request)
        for part in ("items", "additionalProperties"):
            if isinstance(old.get(part), dict) and isinstance(new.get(part), dict):
                yield from self._schema(f"{where}: {part}", old[part], new[part], request=request)

    def _members(self, where: str, old: Json, new: Json, *, request: bool) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        must, now_must = set(old.get("required", ())), set(new.get("required", ()))
        for name, member in before.items():
            if name in after:
                yield from self._schema(f"{where}: {name}", member, after[name], request=request)
            else:
                yield f"{where}: {name} is gone"
        if request:
            yield from (f"{where}: {name} is required now" for name in sorted(now_must - must))
        else:
            yield from (
                f"{where}: {name} may be missing now" for name in sorted(must - now_must) if name in after
            )


def _by_name(operation: Json) -> dict[str, Json]:
    return {parameter["name"]: parameter for parameter in operation["parameters"]}


def _kinds(schema: Json, document: Json) -> dict[str, Json]:
    """The schema of each JSON type that it allows; an empty one allows anything."""
    if "$ref" in schema:
        named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return _kinds(named, document)
    if "anyOf" in schema:
        return {kind: one for part in schema["anyOf"] for kind, one in _kinds(part, document).items()}
    if "enum" in schema:
        return {"string": schema}
    return {str(schema["type"]): schema} if "type" in schema else {"anything": {}}


def _values(where: str, old: Json, new: Json, *, request: bool) -> Iterator[str]:
    before, after = old.get("enum"), new.get("enum")
    wider, narrower = (after, before) if request else (before, after)
    if wider is None:
        return
    if narrower is None:
        yield f"{where}: {'only some values are taken now' if request else 'other values may come now'}"
        return
    for value in sorted(set(narrower) - set(wider)):
        yield f"{where}: {value!r} is {'no longer taken' if request else 'a new value'}"


def _limits(where: str, old: Json, new: Json) -> Iterator[str]:
    for name in LEAST:
        if name in new and (name not in old or new[name] > old[name]):
            yield f"{where}: {name} is {new[name]} now"
    for name in MOST:
        if name in new and (name not in old or new[name] < old[name]):
            yield f"{where}: {name} is {new[name]} now"
    for name in FORMS:
        if name in new and new[name] != old.get(name):
            yield f"{where}: {name} is another now"
    if "default" in old and old["default"] != new.get("default"):
        yield f"{where}: what is left out means {new.get('default')!r} now"

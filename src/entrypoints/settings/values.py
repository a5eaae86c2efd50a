"""One setting as text or TOML, made into its value; and back, for people to read."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from entrypoints.settings import units
from entrypoints.settings.schema import DURATION, RATE, SECRET, SIZE, Settings

_SWITCH: Final = {"on": True, "off": False, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table of settings. `kind` says how its value is written."""

    section: str
    name: str
    kind: Literal["duration", "size", "rate", "path", "switch", "list", "table", "plain"]
    type: Any
    default: Any
    meaning: str
    is_secret: bool

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        return f"ETL_{self.key.upper().replace('.', '__')}"

    @property
    def flag(self) -> str:
        return f"--{self.key}"

    def of(self, settings: Settings) -> Any:
        """Its value among all settings."""
        return getattr(getattr(settings, self.section.replace(".", "_")), self.name)


def all_settings() -> tuple[Setting, ...]:
    """In the order of the schema. Defaults are computed now: cores, terminal, interpreter."""
    return tuple(
        _setting(section.encode_name, field)
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
    )


def _setting(section: str, field: msgspec.structs.FieldInfo) -> Setting:
    plain, description, kinds = field.type, "", set()
    while hasattr(plain, "__metadata__"):
        for meta in plain.__metadata__:
            description = description or meta.description or ""
            kinds.add((meta.extra or {}).get("kind"))
        plain = plain.__origin__
    return Setting(
        section=section,
        name=field.name,
        kind=_kind(plain, kinds),
        type=field.type,
        default=_default(field),
        meaning=inspect.cleandoc(description),
        is_secret=SECRET in kinds,
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _kind(plain: Any, kinds: set[str | None]) -> Any:
    if counted := kinds & {DURATION, SIZE, RATE}:
        return counted.pop()
    if plain is Path or plain == Path | None:
        return "path"
    if plain is bool:
        return "switch"
    origin = getattr(plain, "__origin__", None)
    return "list" if origin is tuple else "table" if origin is Mapping else "plain"


def read(setting: Setting, raw: object, base: Path, *, is_text: bool) -> Any:
    """The value of what stands in a file (`is_text` false) or in a variable or flag (true).

    Relative paths begin at `base`. Raises ValueError with the cure.
    """
    value = _parsed(setting, raw, base, is_text=is_text)
    if setting.kind in {"path", "rate"}:
        return value
    try:
        return msgspec.convert(value, setting.type, strict=not is_text)
    except msgspec.ValidationError as error:
        if choices := _choices(setting.type):
            raise ValueError(f"write {', '.join(choices[:-1])} or {choices[-1]}") from None
        raise ValueError(f"{str(error)[:1].lower()}{str(error)[1:]}") from None


def _choices(kind: Any) -> tuple[str, ...]:
    """Of a Literal, also within Annotated and a union."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(choice for inner in get_args(kind) for choice in _choices(inner))


def _parsed(setting: Setting, raw: object, base: Path, *, is_text: bool) -> Any:
    match setting.kind:
        case "duration":
            return units.seconds(_text(raw, 'write a duration with its unit, quoted: "30s"'))
        case "size":
            return units.size(_text(raw, 'write a size with its unit, quoted: "10MiB"'))
        case "rate":
            return units.rate(_text(raw, 'write how often, quoted: "600/m"'))
        case "path":
            return _path(_text(raw, "write a path, quoted"), base)
        case "switch" if isinstance(raw, str):
            return _switch(raw)
        case "list" if is_text:
            return [item.strip() for item in str(raw).split(",") if item.strip()]
        case "table" if is_text:
            return dict(_pair(item) for item in str(raw).split(",") if item.strip())
        case _:
            return raw


def _text(raw: object, cure: str) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(cure)
    return raw


def _path(text: str, base: Path) -> Path:
    """Made absolute without following links: `current` may be switched to another release later."""
    try:
        return Path(base, Path(text).expanduser()).absolute()
    except RuntimeError:
        raise ValueError("write a path: there is no user of that name") from None


def _switch(text: str) -> bool:
    try:
        return _SWITCH[text.strip().lower()]
    except KeyError:
        raise ValueError("write on or off") from None


def _pair(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals or not name.strip():
        raise ValueError("write name=value, separated by commas")
    return name.strip(), value.strip()


def show(setting: Setting, value: Any) -> str:
    """As it would be written in a variable; secrets hidden."""
    if setting.kind == "rate":
        return units.show_rate(value)
    if value is None:
        return ""
    if setting.is_secret:
        return "***"
    match setting.kind:
        case "duration":
            return units.show_seconds(value)
        case "size":
            return units.show_size(value)
        case "switch":
            return "on" if value else "off"
        case "list":
            return ",".join(value)
        case "table":
            return ",".join(f"{k}={v}" for k, v in value.items())
        case _:
            return str(value)

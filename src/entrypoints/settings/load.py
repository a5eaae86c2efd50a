"""Flags over environment over file over defaults; every mistake names its place and the cure."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.errors import WrongSetting
from entrypoints.settings.addresses import is_loopback, is_network
from entrypoints.settings.check_jwt import check_jwt
from entrypoints.settings.schema import Settings
from entrypoints.settings.values import Setting, all_settings, read

FILE_NAME: Final = "etl.toml"
DEFAULT: Final = "default"
MIN_LEASE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Given:
    """One value as somebody gave it. `place` is what a person would look for: a file and key, a
    variable, a flag. `base` is where its relative paths begin.
    """

    setting: Setting
    raw: object
    place: str
    base: Path
    is_text: bool = True

    def value(self) -> Any:
        try:
            return read(self.setting, self.raw, self.base, is_text=self.is_text)
        except ValueError as error:
            shown = "" if self.setting.is_secret else f" {self.raw!r} is wrong:"
            raise WrongSetting(f"{self.place}:{shown} {error}.") from None


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, and for each key (`http.port`) the place where its value comes from."""

    settings: Settings
    origins: Mapping[str, str]


def load(
    flags: Mapping[str, str], environ: Mapping[str, str], directory: Path, config: Path | None = None
) -> Loaded:
    """`flags` by key (`http.port`). The file is `config`, else `etl.toml` in `directory` if there.

    Raises WrongSetting.
    """
    settings = {setting.key: setting for setting in all_settings()}
    given: dict[str, Given] = {}
    for source in (
        _from_file(settings, directory, config),
        _from_environment(settings, environ, directory),
        _from_flags(settings, flags, directory),
    ):
        given.update({item.setting.key: item for item in source})
    loaded = _assemble(settings, given, directory)
    _check(loaded)
    return loaded


# -- the three sources --------------------------------------------------------------------------------


def _from_file(settings: Mapping[str, Setting], directory: Path, config: Path | None) -> Iterator[Given]:
    path = directory / (config or FILE_NAME)
    if config is None and not path.exists():
        return
    for section, table in _parse(path).items():
        if not isinstance(table, dict):
            raise _unknown(f"{path}: {section}", section, settings)
        for key, raw in _flat(section, table, settings):
            if key not in settings:
                raise _unknown(f"{path}: {key}", key, settings)
            yield Given(settings[key], raw, f"{path}: {key}", path.parent, is_text=False)


def _flat(
    section: str, table: Mapping[str, Any], settings: Mapping[str, Setting]
) -> Iterator[tuple[str, Any]]:
    """The keys of a section and of those within it (`[http.jwt]`). A table may also be a value."""
    for name, raw in table.items():
        key = f"{section}.{name}"
        if isinstance(raw, dict) and any(setting.section == key for setting in settings.values()):
            yield from _flat(key, raw, settings)
        else:
            yield key, raw


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongSetting(f"{path}: cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongSetting(f"{path}: is no TOML: {error}.") from None


def _from_environment(
    settings: Mapping[str, Setting], environ: Mapping[str, str], directory: Path
) -> Iterator[Given]:
    """`ETL_SECTION__NAME`. Other names that begin with ETL_ are other people's, unless they look like
    a slip of the pen (`ETL_HTTP_PORT`): those are refused, or the slip would go unnoticed.
    """
    variables = {setting.variable: setting for setting in settings.values()}
    for name in sorted(environ):
        if not name.startswith("ETL_"):
            continue
        if (setting := variables.get(name)) is not None:
            yield Given(setting, environ[name], name, directory)
        elif (secret := variables.get(name.removesuffix("_FILE"))) is not None and secret.is_secret:
            yield _secret(secret, name, environ, directory)
        elif _looks_like_ours(name, settings):
            raise _unknown(name, name, {setting.variable: setting for setting in settings.values()})


def _looks_like_ours(name: str, settings: Mapping[str, Setting]) -> bool:
    return "__" in name or any(
        name.startswith(f"ETL_{s.section.partition('.')[0].upper()}_") for s in settings.values()
    )


def _secret(setting: Setting, name: str, environ: Mapping[str, str], directory: Path) -> Given:
    if setting.variable in environ:
        raise WrongSetting(f"{name}: give only one of {setting.variable} and {name}.")
    path = directory / environ[name]
    try:
        return Given(setting, path.read_text(encoding="utf-8").strip(), f"{name} ({path})", directory)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no UTF-8"
        raise WrongSetting(f"{name}: {path} cannot be read: {why}.") from None


def _from_flags(
    settings: Mapping[str, Setting], flags: Mapping[str, str], directory: Path
) -> Iterator[Given]:
    for key, raw in flags.items():
        if key not in settings:
            raise _unknown(f"--{key}", key, settings)
        yield Given(settings[key], raw, f"--{key}", directory)


def _unknown(place: str, name: str, known: Mapping[str, Setting]) -> WrongSetting:
    near = difflib.get_close_matches(name, known, n=1)
    cure = f"did you mean {near[0]}?" if near else "`etl config show` lists them all."
    return WrongSetting(f"{place}: there is no such setting; {cure}")


# -- together -----------------------------------------------------------------------------------------


def _assemble(settings: Mapping[str, Setting], given: Mapping[str, Given], directory: Path) -> Loaded:
    sections: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    for key, setting in settings.items():
        item = given.get(key)
        value = _default(setting, directory) if item is None else item.value()
        sections.setdefault(setting.section, {})[setting.name] = value
        origins[key] = DEFAULT if item is None else item.place
    made = {f.name: f.type(**sections[f.encode_name]) for f in msgspec.structs.fields(Settings)}
    return Loaded(Settings(**made), origins)


def _default(setting: Setting, directory: Path) -> Any:
    if isinstance(setting.default, Path):
        return directory.absolute() / setting.default
    return setting.default


def _check(loaded: Loaded) -> None:
    """What no single value shows, or its type does not say."""
    scheme, is_url, _ = (loaded.settings.database.url or "").partition("://")
    if is_url and scheme not in {"postgresql", "postgres"}:
        raise WrongSetting(f"{loaded.origins['database.url']}: must begin with postgresql://.")
    http, worker = loaded.settings.http, loaded.settings.worker
    if not http.auth and not is_loopback(http.host):
        place = loaded.origins["http.auth"]
        raise WrongSetting(f"{place}: auth may be off on a loopback host only, and http.host is {http.host}.")
    if worker.lease < MIN_LEASE:
        place = loaded.origins["worker.lease"]
        raise WrongSetting(f"{place}: must be at least {MIN_LEASE:g}s, or no renewal would be in time.")
    if worker.last_lease < worker.lease:
        place = loaded.origins["worker.last_lease"]
        raise WrongSetting(f"{place}: must not be shorter than worker.lease.")
    for proxy in http.trusted_proxies:
        if not is_network(proxy):
            place = loaded.origins["http.trusted_proxies"]
            raise WrongSetting(f"{place}: {proxy!r} is no address and no network (10.0.0.0/8).")
    check_jwt(loaded.settings.http_jwt, loaded.origins)

"""Settings as flags: `--http.port 0`, `--http.port=0` or `--http-port 0`, anywhere after the command."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from entrypoints.cli.failure import bad_usage
from entrypoints.settings import Loaded, Settings, load
from entrypoints.settings.values import all_settings

SERVER_COMMANDS: Final = frozenset({"serve", "api", "worker", "migrate", "db", "doctor", "config", "openapi"})
"""Those that take settings as flags. The others are clients: their settings are two variables."""

_given: dict[str, str] = {}


def take_settings(argv: Sequence[str]) -> list[str]:
    """Keeps the settings of a server command for `loaded`, and returns what is left of `argv`."""
    _given.clear()
    if not argv or argv[0] not in SERVER_COMMANDS:
        return list(argv)
    return list(_without_settings(argv))


def _without_settings(argv: Sequence[str]) -> Iterator[str]:
    keys = {s.key.replace(".", "-").replace("_", "-"): s.key for s in all_settings()}
    rest = iter(argv)
    for token in rest:
        name, equals, value = token.removeprefix("--").partition("=")
        key = keys.get(name.replace(".", "-").replace("_", "-"), name)
        if not token.startswith("--") or (key == name and "." not in name):
            yield token
            continue
        try:
            _given[key] = value if equals else next(rest)
        except StopIteration:
            raise bad_usage(f"--{key} needs a value.") from None


def loaded(config: Path | None) -> Loaded:
    """All settings, from everywhere. Raises WrongSetting."""
    return load(_given, os.environ, Path.cwd(), config)


def settings(config: Path | None) -> Settings:
    return loaded(config).settings

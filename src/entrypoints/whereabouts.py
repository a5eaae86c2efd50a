"""What a running server leaves in its data directory, for the command line on this machine to find it by."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SERVER_FILE: Final = "server.json"
ADMIN_KEY_FILE: Final = "admin.key"


@dataclass(frozen=True, slots=True)
class Announced:
    """`url` as a client on this machine writes it. The process may have died since."""

    url: str
    pid: int


def announce(data: Path, url: str) -> Callable[[], None]:
    """Returns what withdraws it, unless another server of this directory has announced itself meanwhile."""
    path = data / SERVER_FILE
    told = json.dumps({"url": url, "pid": os.getpid()}) + "\n"
    aside = path.with_suffix(".new")
    aside.write_text(told, encoding="ascii")
    aside.rename(path)

    def withdraw() -> None:
        with suppress(FileNotFoundError):
            if path.read_text(encoding="ascii") == told:
                path.unlink()

    return withdraw


def announced(data: Path) -> Announced | None:
    """None where nothing that can be read tells of a server."""
    try:
        written = json.loads((data / SERVER_FILE).read_text(encoding="utf-8"))
        return Announced(str(written["url"]).rstrip("/"), int(written["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None

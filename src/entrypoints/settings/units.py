"""Durations and sizes as people write them. A bare number is refused: nobody remembers its unit."""

import re
from typing import Final

from domain.rate import Rate

_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_RATE: Final = re.compile(r"([0-9]{1,9})/([smh])", re.ASCII)
MAX_SECONDS: Final = 100 * 366 * 86400.0
MAX_BYTES: Final = 2**50


def seconds(text: str) -> float:
    """`500ms`, `30s`, `5m`, `2h`, `7d` in seconds. Raises ValueError with the cure."""
    number, factor = _split(text, _SECONDS, "a duration with its unit: 500ms, 30s, 5m, 2h or 7d")
    if (value := number * factor) > MAX_SECONDS:
        raise ValueError("write a duration of at most 100 years")
    return value


def size(text: str) -> int:
    """`64KiB`, `10MiB`, `2GiB` in bytes. Raises ValueError with the cure."""
    number, factor = _split(text, _BYTES, "a size with its unit: 512B, 64KiB, 10MiB or 2GiB")
    if (value := number * factor) > MAX_BYTES:
        raise ValueError("write a size of at most 1024TiB")
    if value != int(value):
        raise ValueError("write a size of whole bytes")
    return int(value)


def rate(text: str) -> Rate | None:
    """`600/m`, `10/s`, `5000/h`; None for `off`. Raises ValueError with the cure."""
    if text.strip().lower() == "off":
        return None
    if (match := _RATE.fullmatch(text.strip())) is None or not (quota := int(match[1])):
        raise ValueError("write how many in which time, 10/s, 600/m or 5000/h, or off")
    return Rate(quota, _SECONDS[match[2]])


def show_rate(value: Rate | None) -> str:
    """`rate` reads it back."""
    if value is None:
        return "off"
    return f"{value.quota}/{next(unit for unit, seconds in _SECONDS.items() if seconds == value.seconds)}"


def show_seconds(value: float) -> str:
    """The shortest exact way to write it: `seconds` reads it back."""
    for unit in ("d", "h", "m", "s"):
        if value and value % _SECONDS[unit] == 0:
            return f"{value / _SECONDS[unit]:.0f}{unit}"
    return f"{value * 1000:f}".rstrip("0").rstrip(".") + "ms" if value else "0s"


def show_size(value: int) -> str:
    """The shortest exact way to write it: `size` reads it back."""
    unit = next(u for u in reversed(_BYTES) if value % _BYTES[u] == 0 and (value or u == "B"))
    return f"{value // _BYTES[unit]}{unit}"


def _split(text: str, units: dict[str, float] | dict[str, int], cure: str) -> tuple[float, float]:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(f"write {cure}")
    return float(match[1]), units[match[2]]

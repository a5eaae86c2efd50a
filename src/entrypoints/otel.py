"""Whether traces and figures go out over OTLP, by OpenTelemetry's own environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.errors import WrongSetting

PROTOCOL: Final = "http/protobuf"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Unset is off, and then nothing of OpenTelemetry is even imported."""

    traces: bool
    metrics: bool


def wanted(environ: Mapping[str, str]) -> Wanted:
    """A signal is on where its exporter is `otlp`, or where an endpoint is named. Raises WrongSetting."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Wanted(traces=False, metrics=False)
    return Wanted(traces=_is_on(environ, "TRACES"), metrics=_is_on(environ, "METRICS"))


def _is_on(environ: Mapping[str, str], signal: str) -> bool:
    chosen = environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    if chosen not in {"", "none", "otlp"}:
        raise WrongSetting(f"OTEL_{signal}_EXPORTER: {chosen!r} is not built in; give `otlp` or `none`.")
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    is_on = chosen == "otlp" or (chosen == "" and any(environ.get(name, "").strip() for name in endpoints))
    if is_on:
        _require_protocol(environ, signal)
    return is_on


def _require_protocol(environ: Mapping[str, str], signal: str) -> None:
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if given := environ.get(name, "").strip():
            if given != PROTOCOL:
                raise WrongSetting(f"{name}: {given!r} is not built in; give `{PROTOCOL}`.")
            return

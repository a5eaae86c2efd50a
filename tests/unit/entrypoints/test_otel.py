"""OpenTelemetry's own variables decide what is sent."""

import pytest

from domain.errors import WrongSetting
from entrypoints.otel import Wanted, wanted

OFF = Wanted(traces=False, metrics=False)
BOTH = Wanted(traces=True, metrics=True)
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, OFF),
        ({"OTEL_SERVICE_NAME": "x"}, OFF),
        (ENDPOINT, BOTH),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, OFF),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, Wanted(traces=False, metrics=True)),
        (ENDPOINT | {"OTEL_METRICS_EXPORTER": "none"}, Wanted(traces=True, metrics=False)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, Wanted(traces=True, metrics=False)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c/m"}, Wanted(traces=False, metrics=True)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, OFF),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, BOTH),
    ],
)
def test_unset_is_off_and_an_endpoint_or_an_exporter_turns_a_signal_on(
    environ: dict[str, str], found: Wanted
) -> None:
    assert wanted(environ) == found


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, "OTEL_METRICS_EXPORTER"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ),
    ],
)
def test_what_is_not_built_in_stops_the_start_and_is_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(WrongSetting, match=named):
        wanted(environ)


def test_a_protocol_does_not_matter_while_the_signal_is_off() -> None:
    assert wanted({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) == OFF

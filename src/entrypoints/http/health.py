"""Health, for those who start and stop processes: no key, no base path."""

from typing import Final

from litestar import Response

from entrypoints.http.header import Header
from entrypoints.http.operation import Answer, Cases, answer, operation
from entrypoints.http.views import HealthView


@operation(
    "GET",
    "/health/live",
    id="live",
    tag="health",
    summary="Does the process answer?",
    scopes=(),
    answers=(Answer(200, "It does.", HealthView),),
)
async def live() -> Response[bytes]:
    """Asks nothing of anything else: a restart would not help a database that is down."""
    return answer(HealthView(status="ok", checks={}))


@operation(
    "GET",
    "/health/ready",
    id="ready",
    tag="health",
    summary="Can it do its work?",
    scopes=(),
    answers=(
        Answer(200, "It can.", HealthView),
        Answer(
            503, "It cannot; `checks` says why.", HealthView, headers={"Retry-After": Header("Seconds.", "5")}
        ),
    ),
)
async def ready(use_cases: Cases) -> Response[bytes]:
    """Each check by name, `ok` or what is wrong."""
    checks = dict(await use_cases.check_health())
    if all(said == "ok" for said in checks.values()):
        return answer(HealthView(status="ok", checks=checks))
    return answer(HealthView(status="failing", checks=checks), 503, {"Retry-After": "5"})


HANDLERS: Final = (live, ready)

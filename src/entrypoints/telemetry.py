"""Structured logs: one line for each thing that an operator can act on. docs/observability.md lists them."""

import logging
import sys
from collections.abc import Mapping
from typing import Final, Literal

import structlog
from structlog.typing import EventDict, Processor

from entrypoints.colours import is_colourful

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]

LIBRARY: Final = "library"
"""The event of every line that a library writes; what it says is its `message`."""

NEVER_TALKATIVE: Final = (
    "sqlalchemy",
    "adapters.postgres.pooling",  # SQLAlchemy's too: it names a pool's logger after the class
    "httpx",
    "httpcore",
    "urllib3",
    "uvicorn.access",
)
"""Told from WARNING on, at any level: their other lines hold rows, values and headers, secrets among them."""

Thing = Literal["database", "disk", "machine", "rate_limit", "token_keys"]

OUTAGES: Final[Mapping[Thing, tuple[str, str]]] = {
    "database": ("database_unavailable", "database_back"),
    "disk": ("disk_unavailable", "disk_back"),
    "machine": ("machine_full", "machine_back"),
    "rate_limit": ("rate_limit_unavailable", "rate_limit_back"),
    "token_keys": ("token_keys_unavailable", "token_keys_back"),
}
"""What may go away, and the events of its going and its return."""


def configure(log_format: Format, level: Level = "info") -> None:
    """Ours and every library's lines in one form, on standard error. Ours do not pass through `logging`,
    which took a tenth of the processor time of a short job.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *_rendered(log_format)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_of_a_library, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendered(log_format),
            ],
        )
    )
    _listen_to_libraries(handler, threshold)


def _listen_to_libraries(handler: logging.Handler, threshold: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    logging.captureWarnings(capture=True)
    for name in NEVER_TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Each start asks it for the schema's version, and it says so twice.
    logging.getLogger("alembic").setLevel(logging.DEBUG if threshold == logging.DEBUG else logging.WARNING)


def _of_a_library(_: object, __: str, line: EventDict) -> EventDict:
    """A library has sentences, not events: they would be as many names as lines."""
    return {**line, "event": LIBRARY, "logger": line["_record"].name, "message": line["event"]}


def _rendered(log_format: Format) -> list[Processor]:
    """Stacks without the variables of their frames, which hold secrets."""
    if log_format == "console":
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=is_colourful(sys.stderr), exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


class Outage:
    """One line when a thing goes away and one when it is back, not one for each attempt to reach it."""

    def __init__(self, duty: str, of: Thing = "database") -> None:
        self._log = structlog.get_logger().bind(duty=duty)
        self._gone, self._back = OUTAGES[of]
        self._down = False

    def began(self, **facts: object) -> None:
        if not self._down:
            self._log.warning(self._gone, **facts)
        self._down = True

    def ended(self) -> None:
        if self._down:
            self._log.info(self._back)
        self._down = False

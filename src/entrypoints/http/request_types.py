"""What several requests hold: names, texts, instants, and their limits."""

from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta

from domain.errors import Place
from domain.policy import YEAR_SECONDS
from entrypoints.http.refusals import SchemaBroken

# Patterns are searched for, so each is anchored; `\Z` because `$` takes a newline (reading.py).
MAX_PARAMETERS: Final = 64
MAX_TEXT: Final = 8192
"""Of one argument: an argv string may take 128 KiB (execve(2)), UTF-8 up to four bytes a character."""

QUEUE_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"

QueueName = Annotated[
    str,
    Meta(
        pattern=QUEUE_NAME,
        description="A queue; it exists from the first job that names it.",
        examples=["default"],
    ),
]
NO_NUL: Final = r"^[^\x00]*\Z"
Text = Annotated[str, Meta(pattern=NO_NUL, max_length=MAX_TEXT)]
# Its pattern is only told: the domain refuses. Beside a list msgspec frees it twice (test_wire_types.py).
TextOrMore = Annotated[str, Meta(max_length=MAX_TEXT, extra_json_schema={"pattern": NO_NUL})]
Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Scalar = TextOrMore | Number | float | bool
ParameterValue = Scalar | None | Annotated[list[Scalar], Meta(max_length=MAX_PARAMETERS)]
ParameterName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}\Z")]
VariableName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
LabelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z")]
LabelValue = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{0,256}\Z")]
Key = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,128}\Z")]
Instant = Annotated[datetime, Meta(tz=True)]
Seconds = Annotated[float, Meta(ge=0, le=YEAR_SECONDS)]


def in_utc(instant: datetime | None, pointer: str) -> datetime | None:
    """Raises SchemaBroken: `0001-01-01T00:00+14:00` is well formed, and before the first instant of UTC."""
    try:
        return instant and instant.astimezone(UTC)
    except OverflowError:
        raise SchemaBroken("An instant is out of range.", [Place(pointer, "is out of range")]) from None

"""What may be asked of a log, in either of its forms, and of a live one."""

from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from msgspec import Meta, Struct

from domain.errors import Place
from entrypoints.http.refusals import ParametersDisagree

TEXT: Final = "text/plain"
LINES: Final = "application/x-ndjson"
MAX_LINES: Final = 10_000

CursorText = Annotated[str, Meta(max_length=128)]
StreamName = Literal["stdout", "stderr"]


class LogQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which part of a log."""

    attempt: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="Its number; default: the latest.", examples=[1]),
    ] = None
    stream: Annotated[StreamName | None, Meta(description="Of one stream only.", examples=["stderr"])] = None
    tail: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)] | None,
        Meta(description="The last lines; not with `after` or `contains`.", examples=[20]),
    ] = None
    after: Annotated[
        CursorText | None,
        Meta(description="The lines behind this `cursor` (application/x-ndjson only).", examples=["1.4096"]),
    ] = None
    contains: Annotated[
        Annotated[str, Meta(pattern=r"^[^\n]{1,1000}\Z")] | None,
        Meta(
            description="Only lines with this text (application/x-ndjson only). A page of a large log may"
            " hold few or none: go on by `X-Next-Cursor` as long as there is a `Link` to the next.",
            examples=["ERROR"],
        ),
    ] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_LINES)] | None,
        Meta(description="At most so many lines (application/x-ndjson only; default 1000).", examples=[100]),
    ] = None


class StreamQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where a live log begins."""

    after: Annotated[
        CursorText | None,
        Meta(description="Behind this `cursor`; `Last-Event-ID` goes before it.", examples=["1.4096"]),
    ] = None
    stream: Annotated[StreamName | None, Meta(description="Of one stream only.", examples=["stderr"])] = None


def refuse_foreign(query: LogQuery, form: str) -> None:
    """Raises ParametersDisagree: a parameter without an effect would go unnoticed."""
    if form == TEXT:
        foreign = dict.fromkeys(("after", "limit", "contains"), f"does not go with {form}")
    else:
        beside_tail = () if query.tail is None else ("after", "contains")
        foreign = dict.fromkeys(beside_tail, "does not go with `tail`")
    places = [Place(name, why) for name, why in foreign.items() if getattr(query, name) is not None]
    if places:
        raise ParametersDisagree("The parameters do not go together; `errors` names each.", places)


def next_page(query: LogQuery, cursor: str) -> str:
    """Relative to the log itself. The cursor names the attempt."""
    left = {"after": cursor, "stream": query.stream, "limit": query.limit, "contains": query.contains}
    return f"log?{urlencode({name: value for name, value in left.items() if value is not None})}"

"""What several views hold: ids, instants, cursors."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
Id = Annotated[Uuid, Meta(description="A UUIDv7.", examples=["019a8e3c-5b7e-7c31-9a55-0b6f2f3f9d11"])]
When = Annotated[
    Annotated[datetime, Meta(tz=True)] | None,
    Meta(description="An instant in UTC; null: has not happened.", examples=["2026-12-01T04:00:00Z"]),
]
Cursor = Annotated[
    str | None,
    Meta(
        description="Pass it as `cursor` for the next page; null: this is the last.",
        examples=["MDE5YThlM2MtNWI3ZS03YzMxLTlhNTUtMGI2ZjJmM2Y5ZDEx"],
    ),
]

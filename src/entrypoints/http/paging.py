"""Lists in pages: newest first, and the same page costs the same at any depth."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

from msgspec import Meta, Struct

from domain.errors import InvalidCursor, Place

T = TypeVar("T")
MAX_LIMIT: Final = 200

Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Items of a page.", examples=[50])]
CursorParameter = Annotated[
    Annotated[str, Meta(max_length=256)] | None,
    Meta(
        description="`next_cursor` of the page before.",
        examples=["MDE5YThlM2MtNWI3ZS03YzMxLTlhNTUtMGI2ZjJmM2Y5ZDEx"],
    ),
]


class PageQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which part of a list."""

    limit: Limit = 50
    cursor: CursorParameter = None


def cursor_of(key: str) -> str:
    """The key of a page's last item, so packed that nobody takes it for something to make up."""
    return urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of(cursor: str | None) -> str | None:
    """Raises InvalidCursor."""
    if cursor is None:
        return None
    try:
        return urlsafe_b64decode(cursor.encode("ascii") + b"==").decode()
    except (binascii.Error, UnicodeError):
        raise unknown_cursor() from None


def unknown_cursor() -> InvalidCursor:
    return InvalidCursor(
        "This cursor did not come from this list.", [Place("cursor", "did not come from this list")]
    )


def page_of(
    items: Sequence[T], key: Callable[[T], str], query: PageQuery, *, rising: bool = False
) -> tuple[Sequence[T], str | None]:
    """A page of a short list that is at hand as a whole, and the cursor of the next.

    Sorted by `key`, which names an item for ever: a page goes on behind the item before, also when
    that item is gone.
    """
    after = key_of(query.cursor)
    ordered = sorted(items, key=key, reverse=not rising)
    rest = [i for i in ordered if after is None or (key(i) > after if rising else key(i) < after)]
    page = rest[: query.limit]
    return page, cursor_of(key(page[-1])) if len(rest) > len(page) else None

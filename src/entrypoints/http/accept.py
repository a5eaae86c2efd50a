"""Content negotiation (RFC 9110, 12.5.1), as far as one resource with two forms needs it."""

from collections.abc import Iterator, Sequence

from entrypoints.http.refusals import NotAcceptable


def preferred(accept: str | None, offered: Sequence[str]) -> str:
    """The offered type that the caller likes best, the first of equals. Raises NotAcceptable."""
    wanted = dict(_qualities(accept or "*/*"))

    def quality(media: str) -> float:
        kind = media.partition("/")[0]
        return next((wanted[name] for name in (media, f"{kind}/*", "*/*") if name in wanted), 0.0)

    best = max(offered, key=quality)
    if not quality(best):
        raise NotAcceptable(f"This is served as {' or '.join(offered)}.")
    return best


def _qualities(accept: str) -> Iterator[tuple[str, float]]:
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        weights = [p.removeprefix("q=") for p in parameters if p.startswith("q=")]
        try:
            yield media, float(weights[0]) if weights else 1.0
        except ValueError:
            yield media, 0.0

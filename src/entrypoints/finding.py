"""What one check of the doctor saw."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`cure` is None where all is well. `fixed`: it was not, and has just been mended."""

    check: str
    seen: str
    cure: str | None = None
    fixed: bool = False

"""Whether somebody sees colours, or only their escapes."""

import os
from typing import TextIO


def is_colourful(stream: TextIO) -> bool:
    """https://no-color.org: any value that is not empty turns colours off."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

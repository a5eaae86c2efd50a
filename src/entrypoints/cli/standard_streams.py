"""Standard input, output and error where whoever started us closed them, or where nobody reads any more."""

import os
import sys
from typing import Final

STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def stand_in_for_closed() -> None:
    """`etl run … >&-`: the next file to be opened would get that number, and be written to. Called first."""
    for number, (name, mode) in enumerate(STREAMS):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            os.set_inheritable(opened, True)  # noqa: FBT003 - its only argument
            setattr(sys, name, os.fdopen(opened, mode, encoding="utf-8", closefd=False))


def give_output_up() -> None:
    """Python would complain once more at its own end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

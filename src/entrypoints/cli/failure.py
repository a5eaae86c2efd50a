"""How a command says no."""

from typing import Final

WRONG: Final = 1
BAD_USAGE: Final = 2


class Failure(Exception):  # noqa: N818 - it is told to a person, who did nothing exceptional
    """Told on stderr in one sentence, without a traceback; ends the command with `status`."""

    def __init__(self, message: str, status: int = WRONG) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def bad_usage(message: str) -> Failure:
    return Failure(message, BAD_USAGE)

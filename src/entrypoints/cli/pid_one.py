"""What a container's first process owes: it reaps whatever was orphaned, and passes signals on."""

import os
import signal
import sys
from types import FrameType
from typing import Final

PASSED_ON: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def stand_by() -> None:
    """Returns in a child. This process stays behind for it, and ends with its status (128+n for a signal).

    Called before there are threads. The kernel then kills what is left in the container.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    child = os.fork()
    if child:
        for number in PASSED_ON:
            signal.signal(number, lambda number, frame: _pass_on(child, number, frame))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)  # what came meanwhile comes now
    if child:
        sys.exit(_status_of(child))


def _pass_on(child: int, number: int, _frame: FrameType | None) -> None:
    os.kill(child, number)


def _status_of(child: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code

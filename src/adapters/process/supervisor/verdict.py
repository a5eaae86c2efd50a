"""How a main process ended: the part of domain.attempt.Exit that its wait status tells."""

import os
import signal
from typing import Any, Final

from adapters.process.supervisor import program, start_errors
from adapters.process.supervisor.launch import Launch

TOO_LATE: Final = {"lost": "Its lease had expired before the program could be started."}


def of(
    launch: Launch, status: int | None, told: int | None, stopped: str | None, oom_kills: int
) -> dict[str, Any]:
    """`status` is None where it could not be killed; `told` the error pipe of its start, if it had one;
    `stopped` the domain.attempt.Stop; `oom_kills` how many the kernel has killed for memory while it ran.
    """
    if status is None:
        return {"lost": "Its main process could not be killed.", "stopped": stopped}
    if told is not None and (failed := program.failure(told)) is not None:
        return {**start_errors.of_the_program(launch.argv[0], *failed)}
    code = os.waitstatus_to_exitcode(status)
    if stopped is None and code == -signal.SIGXCPU and launch.limits.get("cpu_seconds"):
        stopped = "cpu"
    by_kernel = code == -signal.SIGKILL and oom_kills > 0
    ended = {"exit_code": code} if code >= 0 else {"signal_number": -code}
    return {**ended, "stopped": stopped, "oom_kill": by_kernel and stopped is None}

"""`etl run`: as if the script ran here."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, BinaryIO, Final

from entrypoints.cli import request
from entrypoints.cli.client import Client, Refused
from entrypoints.cli.copy import Copying
from entrypoints.cli.failure import Failure
from entrypoints.cli.options import Flag, Several
from entrypoints.cli.terminal import say

TIMED_OUT: Final = 124
"""As timeout(1) does."""

NOT_STARTED: Final = 126
INTERRUPTED: Final = 130
SIGNALLED: Final = 128


class Detached(Exception):  # noqa: N818 - asked for by the person
    """The second Ctrl-C."""


def run(
    script: str | None = None,
    *args: str,
    command: Flag = False,
    detach: Flag = False,
    param: Several = (),
    env: Several = (),
    queue: str | None = None,
    priority: int | None = None,
    timeout: str | None = None,
    max_attempts: int | None = None,
    label: Several = (),
    not_before: str | None = None,
    idempotency_key: str | None = None,
    concurrency_key: str | None = None,
    memory: str | None = None,
    cpu: str | None = None,
) -> int:
    """Submit a script, follow its output, and exit with its own exit code.

    128+N for signal N, 124 for a timeout, 126 if it could not be started, 130 if it was cancelled.
    Ctrl-C asks the server to cancel; a second Ctrl-C leaves, and the job goes on.

    Parameters
    ----------
    script
        A path in the server's scripts directory; with --command a program.
    args
        Arguments, after `--`.
    command
        Run a program with its arguments instead of a script, if the server allows it.
    detach
        Print the job's id and leave.
    param
        NAME=VALUE, or NAME for a flag; becomes --NAME=VALUE.
    env
        NAME=VALUE in the script's environment.
    queue
        The queue to wait in.
    priority
        From -100 to 100, higher first.
    timeout
        Stop the script after this time, such as 5m.
    max_attempts
        How often it is tried in all.
    label
        NAME=VALUE, to find the job by.
    not_before
        An instant (2026-01-31T06:00:00Z), or a time from now (10m).
    idempotency_key
        The same key and request again gives the same job.
    concurrency_key
        Jobs that share this key run one at a time.
    memory
        Kill it past this much memory of all its processes, such as 2GiB.
    cpu
        Stop it past this much processor time of all its processes, such as 10m.

    """
    body = request.without_none(
        {
            **request.program(script, args, command=command),
            "parameters": request.parameters(param),
            "environment": request.pairs(env, "--env"),
            "queue": queue,
            "priority": priority,
            "timeout_seconds": request.duration(timeout, "--timeout"),
            "retry": request.without_none({"max_attempts": max_attempts}),
            "labels": request.pairs(label, "--label"),
            "not_before": request.moment(not_before, "--not-before"),
            "concurrency": request.without_none({"key": concurrency_key}),
            "resources": request.resources(memory, cpu),
        }
    )
    key = request.idempotency_key(idempotency_key)
    client = Client.here()
    job = client.send_safely("/jobs", body, key)
    if detach:
        print(job["id"])  # noqa: T201 - the command's answer
        return 0
    return attach(client, job["id"])


def attach(client: Client, job_id: str) -> int:
    """Copies the job's output until it ends; returns the exit code of `etl run`."""
    interrupts = _Interrupts(lambda: _cancel(client, job_id))
    before = signal.signal(signal.SIGINT, interrupts)
    try:
        copying = Copying(client, job_id, own_streams(), on_elsewhere=_Once())
        return _told(copying.to_the_end())
    except Detached:
        say(f"left job {job_id}; `etl logs -f {job_id}` shows it again")
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)


def own_streams() -> Mapping[str | None, BinaryIO]:
    """The script's stdout on ours, its stderr on ours. Where both are the same terminal or file, the
    whole log on it, so that the order is kept.
    """
    out, err = sys.stdout.buffer, sys.stderr.buffer
    if os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno()):
        return {None: out}
    return {"stdout": out, "stderr": err}


class _Interrupts:
    """First Ctrl-C: cancel, from a thread of its own, for the copy must not stop in the middle of a
    line. Second: out.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._came = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self._came:
            raise Detached
        self._came = True
        threading.Thread(target=self._cancel, daemon=True).start()


class _Once:
    """Says where the log is, as often as that changes: the job goes on, and its exit code is to be had."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, refused: Refused) -> None:
        if refused.message != self._said:
            self._said = refused.message
            say(refused.message)


def _cancel(client: Client, job_id: str) -> None:
    say("cancelling; Ctrl-C again leaves the job alone and goes")
    try:
        client.twin().call("POST", f"/jobs/{job_id}/cancel")
    except Failure as failure:
        say(failure.message)


def _told(job: dict[str, Any]) -> int:
    """The exit code; where it does not say all, a sentence on stderr too."""
    reason = job.get("reason") or {}
    if job["state"] != "succeeded" and (job["outcome"] != "failed" or reason.get("code") != "exit"):
        say(f"job {job['id']} {job['state']}: {reason.get('message', '')}")
    return exit_code(job)


def exit_code(job: dict[str, Any]) -> int:
    """What a shell would say of the script."""
    reason = job.get("reason") or {}
    if job["state"] == "succeeded":
        return 0
    if job["state"] == "cancelled":
        return INTERRUPTED
    if job["outcome"] == "timed_out":
        return TIMED_OUT
    if reason.get("code") == "could_not_start":
        return NOT_STARTED
    if reason.get("signal"):
        return SIGNALLED + _signal_number(reason["signal"])
    return reason.get("exit_code") or 1


def _signal_number(name: str) -> int:
    """`SIGKILL` or `signal 64`."""
    return int(name.split()[1]) if " " in name else int(signal.Signals[name])

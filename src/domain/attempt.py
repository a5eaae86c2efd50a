"""One try of a job on one worker: how it ended, and how that is told to a person."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from domain.resources import UNLIMITED, Resources


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    """The program exited with status 0, and nothing stopped it."""

    FAILED = "failed"
    """The program exited with another status, died by a signal, or could not be started."""

    TIMED_OUT = "timed_out"
    """The program was stopped because it ran longer than its timeout."""

    CANCELLED = "cancelled"
    """The program was stopped because somebody asked for it."""

    LOST = "lost"
    """Nobody knows how it ended: its worker or supervisor died, or its lease expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why an attempt ended so. `message` is one sentence that a person understands.

    `exit_code` is the program's own status, `signal` the name of the signal that killed it
    (`SIGKILL`); `last_lines` is the bounded end of the log of a failure, cleaned for display.
    """

    code: str
    message: str
    exit_code: int | None = None
    signal: str | None = None
    last_lines: tuple[str, ...] = ()

    def showing(self, last_lines: tuple[str, ...]) -> Self:
        return replace(self, last_lines=last_lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the whole process tree took. `max_rss_bytes` is the largest single process."""

    wall_seconds: float
    cpu_seconds: float
    max_rss_bytes: int


class Stop(StrEnum):
    """Why a supervisor stopped a program that had not ended by itself."""

    TIMEOUT = "timeout"
    CANCEL = "cancel"
    LEASE = "lease"
    """The deadline passed after which somebody else may start the job (self-fencing)."""

    WORKER = "worker"
    """Its worker was stopped, and was set to take its programs with it (`worker.on_stop`)."""

    MEMORY = "memory"
    """Its processes together took more memory than `resources.memory_bytes`."""

    CPU = "cpu"
    """Its processes together took more processor time than `resources.cpu_seconds`."""

    PROCESSES = "processes"
    """There were more of them than `resources.processes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """The facts of an ended attempt, as its supervisor saw them; `judge` draws the conclusion.

    Exactly one of `exit_code`, `signal_number`, `start_error` and `lost` says how it ended. `machine_full`:
    it could not start because no process could be made, which says nothing about the program.
    `processes_left` is the proof that nothing outlived the attempt (0), `left_behind` how many
    processes were still alive when the main one had gone, and were stopped, unless the job wants them
    `kept`: then they are told as `4711 redis-server`, the first of them. `containment` is what
    held the tree, `limits` how each limit that the job has was enforced: `cgroup_v2`, `cgroup_v1`,
    `polled`, `rlimit`, `none`. `oom_kills` is how many processes the kernel killed for memory while it
    ran: its own where a group keeps its limit, else those of the whole machine. `oom_kill`: its main
    process was killed from outside meanwhile.
    """

    exit_code: int | None = None
    signal_number: int | None = None
    start_error: str | None = None
    machine_full: bool = False
    lost: str | None = None
    stopped: Stop | None = None
    usage: Usage | None = None
    processes_left: int = 0
    left_behind: int = 0
    kept: tuple[str, ...] = ()
    containment: str = "subreaper"
    limits: Mapping[str, str] = field(default_factory=dict)
    oom_kill: bool = False
    oom_kills: int = 0
    log_bytes: int = 0
    log_lost_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is reported of an attempt: the conclusion, and the facts it was drawn from."""

    outcome: Outcome
    reason: Reason
    exit: Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The record of one try. `fence` identifies it for ever: it grows with each claim of the job.

    `worker` names host and process for people; `session_id` is the worker's process life.
    """

    job_id: UUID
    number: int
    fence: int
    session_id: UUID
    worker: str
    claimed_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ending: Ending | None = None

    @property
    def host(self) -> str:
        """Where it ran, and where its log was written."""
        return self.worker.rpartition(":")[0]


def judge(exit_: Exit, timeout_seconds: float, resources: Resources = UNLIMITED) -> Ending:
    """The outcome and its sentence. A program that ended well before a stop reached it has ended well."""
    outcome, reason = _conclude(exit_, timeout_seconds, resources)
    return Ending(outcome=outcome, reason=reason, exit=exit_)


def _conclude(exit_: Exit, timeout_seconds: float, resources: Resources) -> tuple[Outcome, Reason]:
    name = None if exit_.signal_number is None else signal_name(exit_.signal_number)
    if exit_.lost is not None:
        return Outcome.LOST, Reason(code="lost", message=exit_.lost)
    if exit_.start_error is not None:
        return Outcome.FAILED, Reason(code="could_not_start", message=exit_.start_error)
    if exit_.stopped is not None:
        outcome, code, message = _stopped(exit_.stopped, timeout_seconds, resources)
        return outcome, Reason(code=code, message=message, exit_code=exit_.exit_code, signal=name)
    if exit_.oom_kill:
        message = f"Killed by {name} while the kernel's out-of-memory killer was at work."
        return Outcome.FAILED, Reason(code="out_of_memory", message=message, signal=name)
    if name is not None:
        return Outcome.FAILED, Reason(code="signal", message=f"Killed by {name}.", signal=name)
    if exit_.exit_code == 0:
        return Outcome.SUCCEEDED, Reason(code="exit", message="Exited with status 0.", exit_code=0)
    message = f"Exited with status {exit_.exit_code}."
    return Outcome.FAILED, Reason(code="exit", message=message, exit_code=exit_.exit_code)


def _stopped(stop: Stop, timeout_seconds: float, resources: Resources) -> tuple[Outcome, str, str]:
    match stop:
        case Stop.TIMEOUT:
            return Outcome.TIMED_OUT, "timeout", f"Stopped after its timeout of {timeout_seconds:g} s."
        case Stop.CANCEL:
            return Outcome.CANCELLED, "cancelled", "Stopped because its cancellation was asked for."
        case Stop.LEASE:
            return Outcome.LOST, "lease_expired", "Stopped because its worker could not renew its lease."
        case Stop.WORKER:
            return Outcome.LOST, "worker_stopped", "Stopped because its worker was stopped."
        case Stop.MEMORY:
            return Outcome.FAILED, "out_of_memory", _over(f"{resources.memory_bytes} bytes of memory")
        case Stop.CPU:
            return Outcome.FAILED, "cpu_limit", _over(f"{resources.cpu_seconds or 0:g} s of processor time")
        case Stop.PROCESSES:
            return (
                Outcome.FAILED,
                "process_limit",
                f"Stopped because it had more than {resources.processes} processes.",
            )


def _over(limit: str) -> str:
    return f"Stopped because its processes together took more than its limit of {limit}."


def signal_name(number: int) -> str:
    """`9` as `SIGKILL`; a number without a name as `signal 64`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

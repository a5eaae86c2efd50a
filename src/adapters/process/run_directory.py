"""Where running attempts leave what a restarted worker needs to find them again."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from adapters.process.means import Means
from adapters.process.supervisor import keepsake
from adapters.process.supervisor import launch as specification
from adapters.process.supervisor.group import Group
from adapters.process.supervisor.scratch import remove as remove_tree
from application.ports.process_runner import Launch
from domain.attempt import Exit, Stop, Usage
from domain.log import LogRef
from domain.log_index import index_name
from domain.policy import LeftBehind
from domain.resources import Resources

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_LIMITS: Final = tuple(field.name for field in fields(Resources))
_WORKER: Final = "worker"
_LOCK: Final = "lock"
NEVER_STARTED: Final = "The worker ended before the program could be started."
RESTARTED: Final = "The machine was restarted while it ran."
UNSUPERVISED: Final = "Its supervisor was killed, so nobody saw how it ended."


def name_of(ref: LogRef) -> str:
    return f"{ref.job_id}-{ref.fence}"


class RunDirectory:
    """`<job>-<fence>/` for us alone, and `work/<job>-<fence>/` for the program (ETL_WORK_DIR).

    They are apart so that a program of another user can own the second and not even enter the first.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()  # programs carry the path in their environment: it must not vary
        self.work = self.root / "work"
        self.errors = self.root / "supervisor.log"

    def make(self) -> None:
        for directory in (self.root, self.work):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)

    def claim(self) -> int | None:
        """The descriptor that makes this directory its worker's; None while a living worker has it."""
        return self._flock(_WORKER)

    def lock(self) -> int | None:
        """The descriptor that the zygote inherits; None while the zygote of an earlier worker may still
        start something.
        """
        return self._flock(_LOCK)

    def _flock(self, name: str) -> int | None:
        descriptor = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    # -- one attempt ---------------------------------------------------------------------------------

    def specify(self, launch: Launch, means: Means) -> int:
        """The descriptor of what the attempt's supervisor is to do: in memory, where no disk can hang."""
        descriptor = _unnamed_file()
        specification.write(self._specification(launch, means), descriptor)
        return descriptor

    def of(self, ref: LogRef) -> Path:
        return self.root / name_of(ref)

    def scratch_of(self, ref: LogRef) -> Path:
        return self.work / name_of(ref)

    def control_of(self, ref: LogRef) -> Path:
        return self.of(ref) / specification.CONTROL_SOCKET

    def has_begun(self, ref: LogRef) -> bool:
        """Whether a supervisor may have started its program."""
        return (self.of(ref) / specification.ATTEMPT_FILE).exists()

    def result(self, ref: LogRef) -> Exit | None:
        """None where there is no whole record of this very attempt."""
        record = _read(self.of(ref) / specification.RESULT_FILE)
        bound = record.get("job_id") == str(ref.job_id) and record.get("fence") == ref.fence
        return exit_from(record) if bound else None

    def lost(self, ref: LogRef, processes_left: int) -> Exit:
        """The end of an attempt that has neither a supervisor nor a result."""
        record = self._record(ref)
        if record.get("boot_id") != _boot_id():
            why = RESTARTED
        else:
            why = UNSUPERVISED if self.has_begun(ref) else NEVER_STARTED
        return Exit(lost=why, processes_left=processes_left, log_bytes=_size(record.get("log")))

    def clear_group(self, ref: LogRef) -> int:
        """Kills what its control group still holds, whoever has died above it; how many are left."""
        group = self._record(ref).get("group")
        return Group(group).clear() if group else 0

    def remove_scratch(self, ref: LogRef) -> None:
        _remove(self.scratch_of(ref))

    def forget(self, ref: LogRef) -> None:
        """At once or not at all: a half removed attempt would look like a lost one."""
        self.remove_scratch(ref)
        grave = self.root / f"{specification.FORGOTTEN}{name_of(ref)}"
        try:
            self.of(ref).rename(grave)
        except FileNotFoundError:
            return
        _remove(grave)

    # -- all of them ---------------------------------------------------------------------------------

    def attempts(self) -> list[LogRef]:
        return sorted(self._attempts(), key=lambda ref: (ref.job_id, ref.fence))

    def knows(self, name: str) -> bool:
        """Whether an attempt of this name is not forgotten, or has left processes that are to live on."""
        return (self.root / name).exists() or keepsake.is_there(str(self.root / name))

    def tidy(self) -> None:
        """What an earlier life had begun to remove."""
        for grave in self.root.glob(f"{specification.FORGOTTEN}*"):
            _remove(grave)
        for scratch in self.work.iterdir():
            if not (self.root / scratch.name).exists():
                _remove(scratch)

    def _attempts(self) -> Iterator[LogRef]:
        for entry in self.root.iterdir():
            job_id, _, fence = entry.name.rpartition("-")
            try:
                yield LogRef(job_id=UUID(job_id), fence=int(fence))
            except ValueError:
                continue

    def _record(self, ref: LogRef) -> dict[str, Any]:
        """Empty where it is of another attempt, which lay here before: the machine stopped before this one's
        was on the disk. Not of another start of the machine, where there was none yet.
        """
        record = _read(self.of(ref) / specification.ATTEMPT_FILE) or {"boot_id": _boot_id()}
        return record if _is_of(record, ref) else {}

    def _specification(self, launch: Launch, means: Means) -> specification.Launch:
        """Made of texts: of paths it took three times as long."""
        name = name_of(launch.ref)
        return specification.Launch(
            job_id=str(launch.ref.job_id),
            fence=launch.ref.fence,
            attempt_directory=f"{self.root}/{name}",
            work_directory=f"{self.work}/{name}",
            argv=list(launch.argv),
            environment=means.environment(dict(launch.environment)),
            directory=str(launch.directory),
            log=str(launch.log),
            index_file=index_name(str(launch.log)),
            timeout_ns=int(launch.timeout_seconds * 1e9),
            grace_ns=int(launch.stop_grace_seconds * 1e9),
            deadline_ns=int(launch.deadline * 1e9),
            limits={limit: getattr(launch.resources, limit) for limit in _LIMITS},
            group=means.group_of(name),
            memory_group=means.memory_group_of(name),
            user=means.user,
            log_max_bytes=launch.log_max_bytes,
            secrets=list(launch.secrets),
            boot_id=_boot_id(),
            keep=launch.left_behind is LeftBehind.KEEP,
        )


def exit_from(record: dict[str, Any]) -> Exit:
    """The supervisor's words as ours."""
    fields = {name: value for name, value in record.items() if name not in {"job_id", "fence"}}
    if fields.get("stopped") is not None:
        fields["stopped"] = Stop(fields["stopped"])
    if fields.get("usage") is not None:
        fields["usage"] = Usage(**fields["usage"])
    fields["kept"] = tuple(fields.get("kept", ()))
    return Exit(**fields)


def _is_of(record: dict[str, Any], ref: LogRef) -> bool:
    """What an older release wrote at an attempt's beginning does not say."""
    said = record.get("job_id", str(ref.job_id)), record.get("fence", ref.fence)
    return said == (str(ref.job_id), ref.fence)


def _remove(directory: Path) -> None:
    with suppress(OSError):
        remove_tree(str(directory))


def _read(path: Path) -> dict[str, Any]:
    """Empty where there is no whole record."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("launch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@cache
def _boot_id() -> str | None:
    """Changes with each start of the machine. None on macOS, where a restart is told as a lost supervisor."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None


def _size(log: object) -> int:
    try:
        return Path(str(log)).stat().st_size if log else 0
    except OSError:
        return 0

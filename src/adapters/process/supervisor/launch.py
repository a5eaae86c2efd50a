"""What the worker tells a supervisor, and where an attempt's files are. Shared by both sides."""

import json
import os
from typing import NamedTuple, TypedDict

CONTROL_SOCKET = "control.sock"
ATTEMPT_FILE = "attempt.json"
RESULT_FILE = "result.json"
SPARE_SCRATCH = "scratch"
FORGOTTEN = "forgotten-"
"""What a directory's name begins with that no attempt has: the next start of a worker takes it away."""
WORK_DIR_VARIABLE = "ETL_WORK_DIR"
"""Besides its use for the program, the tag by which processes without a supervisor are found."""


class User(TypedDict):
    """Whom a program runs as."""

    uid: int
    gid: int
    groups: list[int]


class Launch(NamedTuple):
    """Times are nanoseconds; `deadline_ns` is on `kernel.elapsed_ns`.

    `limits` are the fields of domain.resources.Resources. `group` is the path of the control group to
    make for it, `memory_group` of the one that keeps a limit of memory (with version 2 the same),
    `user` whom it runs as, if not as the supervisor. `boot_id` names this start of the machine,
    `keep` is domain.policy.LeftBehind.
    """

    job_id: str
    fence: int
    attempt_directory: str
    work_directory: str
    argv: list[str]
    environment: dict[str, str]
    directory: str
    log: str
    index_file: str
    timeout_ns: int
    grace_ns: int
    deadline_ns: int
    limits: dict[str, float | None]
    group: str | None
    memory_group: str | None
    user: User | None
    log_max_bytes: int
    secrets: list[str]
    boot_id: str | None
    keep: bool


def write(launch: Launch, descriptor: int) -> None:
    """A descriptor and no named file: the environment may hold what must not lie on a disk."""
    data = json.dumps(launch._asdict()).encode()
    while data:
        data = data[os.write(descriptor, data) :]


def read(descriptor: int) -> Launch:
    """Closes it."""
    try:
        return Launch(**json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()))
    finally:
        os.close(descriptor)

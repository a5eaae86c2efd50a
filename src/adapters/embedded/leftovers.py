"""What an owner that was killed, or a postmaster that died, may leave behind: processes that still run."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from adapters.embedded import locks
from domain.errors import DataDirectoryInUse

FAST_SHUTDOWN_SECONDS = 60.0  # a last checkpoint on a slow disk
IMMEDIATE_SHUTDOWN_SECONDS = 10.0  # no checkpoint: the next start recovers from the log
LONE_BACKEND_SECONDS = 1.0  # it has nothing to save
STEPS = (
    (signal.SIGINT, FAST_SHUTDOWN_SECONDS),
    (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_SECONDS),
    (signal.SIGKILL, IMMEDIATE_SHUTDOWN_SECONDS),
)


def server_lock_of(directory: Path, cluster: Path) -> int:
    """The lock that proves that no process of PostgreSQL lives here; stops those that do.

    PostgreSQL refuses to start beside a backend of a dead postmaster, which may compute on for hours before
    it notices. For the owner alone.
    """
    lock = directory / "server.lock"
    taken = locks.take(lock, 0)
    for number, patience in STEPS:
        if taken is None:
            taken = locks.take(lock, _stop(cluster, number, patience))
    if taken is None:
        raise DataDirectoryInUse(
            f"Processes of an earlier PostgreSQL still use {directory} and cannot be stopped. "
            "Stop them by hand, or restart the machine; the data is safe."
        )
    return taken


def refuse_if_started_by_hand(cluster: Path) -> None:
    """Such a server holds none of our locks."""
    process = _recorded(cluster)
    try:
        if process is not None and Path(process.cwd()) == cluster.resolve():
            raise DataDirectoryInUse(
                f"A PostgreSQL that was started by hand (process {process.pid}) uses {cluster}."
            )
    except psutil.Error:
        return


def title(cluster: Path) -> str:
    """cluster_name: stands in the title of each process, and is the same when the directory was moved."""
    facts = cluster.stat()
    return f"etl-{facts.st_dev:x}-{facts.st_ino:x}"


def _stop(cluster: Path, number: int, patience: float) -> float:
    """Signals the postmaster, which stops the rest; where it is dead, each backend. Answers the patience."""
    if not cluster.exists():
        return patience  # an initdb, which dies with its owner
    postmaster = _postmaster(cluster)
    for process in [postmaster] if postmaster else _backends(cluster):
        try:
            process.send_signal(number)
        except psutil.Error:
            continue
    return patience if postmaster else LONE_BACKEND_SECONDS


def _postmaster(cluster: Path) -> psutil.Process | None:
    process = _recorded(cluster)
    try:
        return process if process and f"cluster_name={title(cluster)}" in process.cmdline() else None
    except psutil.Error:
        return None


def _recorded(cluster: Path) -> psutil.Process | None:
    """The process of postmaster.pid, if it is alive and a PostgreSQL, of whatever database."""
    try:
        process = psutil.Process(int((cluster / "postmaster.pid").read_text().split("\n", 1)[0]))
        alive = process.status() != psutil.STATUS_ZOMBIE
        return process if alive and process.name().startswith("postgres") else None
    except (psutil.Error, ValueError, OSError):
        return None


def _backends(cluster: Path) -> Iterator[psutil.Process]:
    """PostgreSQL writes each one's role into its command line: `postgres: NAME: etl etl [local] SELECT`."""
    for process in psutil.process_iter():
        try:
            if " ".join(process.cmdline()).startswith(f"postgres: {title(cluster)}: "):
                yield process
        except psutil.Error:
            continue

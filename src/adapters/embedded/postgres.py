"""PostgreSQL without installing it: the database that `etl serve` keeps in its data directory.

    DIRECTORY/                0700, ours
        cluster/              0700, of the account that runs PostgreSQL; its socket lies in it
        etl.password, postgres.password, url    0600
        owner.lock, server.lock, postgres.log

As root, PostgreSQL runs as `postgres` (or `nobody`, or whoever owns an existing `cluster`). The data stays
here even below a directory that this user cannot search, such as /root (see Programs.location), and no
parent's mode is touched. Programs that it cannot reach are copied to /var/cache/etl-orchestrator.
"""

import asyncio
import errno
import os
import threading
from pathlib import Path

from adapters.embedded import locks, pid_file
from adapters.embedded.account import account_for
from adapters.embedded.binaries import binaries_for
from adapters.embedded.cluster import Cluster, disk_is_full
from adapters.embedded.leftovers import refuse_if_started_by_hand, server_lock_of
from adapters.embedded.passwords import Passwords, write_private
from adapters.embedded.postmaster import Notice, Postmaster
from adapters.embedded.programs import Programs
from adapters.embedded.sockets import SocketDirectory, socket_directory
from domain.errors import DatabaseDidNotStart, DataDirectoryInUse, DataDirectoryUnusable, EtlError

PATIENCE = 2.0  # seconds for an owner that is just leaving, and for `attach`, which looks at the lock


def _unheard(_event: str, **_facts: object) -> None:
    pass


def attach(directory: Path) -> str | None:
    """The URL of the database that another process of this machine keeps here; None if nobody does.

    It is given as soon as it is known, which may be a moment before PostgreSQL accepts connections again.
    """
    directory = directory.absolute()
    try:
        if locks.is_held(directory / "owner.lock"):
            return (directory / "url").read_text()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataDirectoryUnusable(
            f"{directory} cannot be read ({error.strerror}). Only the server's own user reaches its database."
        ) from None
    return None


class EmbeddedPostgres:
    """Owns DIRECTORY from `start` to `stop`. A postmaster that dies in between is started again.

    `notice("postgres.died", exit_status=…, restart_in_seconds=…)` is called then, from another thread, with
    its `reason` where it refuses to start: once, however often it is tried.
    When this process is killed PostgreSQL shuts down by itself (Linux) or at the next start (macOS).
    """

    def __init__(self, directory: Path, notice: Notice = _unheard) -> None:
        self._directory = directory.absolute()
        self._cluster = self._directory / "cluster"
        self._notice = notice
        self._turn = threading.Lock()
        self._wanted = False
        self._owner_lock: int | None = None
        self._sockets: SocketDirectory | None = None
        self._postmaster: Postmaster | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        if self._url is None:
            raise DatabaseDidNotStart("The embedded database is not running.")
        return self._url

    async def start(self) -> str:
        """The URL for the application's role: it owns the database `etl`, and is no superuser.

        Waits for as long as a recovery takes. Raises DataDirectoryInUse, DataDirectoryUnusable or
        DatabaseDidNotStart; after each of them all is as it was before. A start that was cancelled may go on
        in its thread: `stop` ends that too.
        """
        self._wanted = True
        return await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Fast shutdown: connections are closed, nothing committed is lost. May be called again."""
        self._wanted = False
        if self._postmaster is not None:
            self._postmaster.abandon()
        await asyncio.to_thread(self._stop)

    def _start(self) -> str:
        with self._turn:
            if not self._wanted:  # the thread of a cancelled start came to its turn after the stop
                raise DatabaseDidNotStart("The embedded database was stopped before it had started.")
            if self._url is None:
                try:
                    self._url = self._serve()
                except OSError as error:
                    self._release()
                    raise _told(error, self._directory) from error
                except BaseException:
                    self._release()
                    raise
            return self._url

    def _stop(self) -> None:
        with self._turn:
            self._release()

    def _serve(self) -> str:
        self._own()
        programs = self._programs()
        passwords = Passwords(self._directory)
        self._prepare(programs, passwords)
        self._sockets = sockets = socket_directory(self._cluster, programs.account)
        self._postmaster = Postmaster(self._cluster, sockets, programs, self._notice)
        self._postmaster.start()
        url = sockets.url(passwords.application)
        write_private(self._directory / "url", url)
        return url

    def _own(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._owner_lock = locks.take(self._directory / "owner.lock", PATIENCE)
        if self._owner_lock is None:
            raise DataDirectoryInUse(
                f"Another process keeps the database in {self._directory}. "
                "Stop it, set data.directory to another directory, or use `etl worker` to add a worker to it."
            )
        (self._directory / "url").unlink(missing_ok=True)

    def _programs(self) -> Programs:
        account = account_for(self._cluster)
        return Programs(binaries_for(account), account)

    def _prepare(self, programs: Programs, passwords: Passwords) -> None:
        server_lock = server_lock_of(self._directory, self._cluster)
        try:
            refuse_if_started_by_hand(self._cluster)
            pid_file.disown(self._cluster)
            Cluster(self._cluster, programs, server_lock).prepare(passwords)
        finally:
            os.close(server_lock)

    def _release(self) -> None:
        if self._postmaster is not None:
            self._postmaster.stop()
        if self._sockets is not None:
            self._sockets.remove()
        self._postmaster = self._sockets = self._url = None
        if self._owner_lock is not None:
            (self._directory / "url").unlink(missing_ok=True)
            os.close(self._owner_lock)
        self._owner_lock = None


def _told(error: OSError, directory: Path) -> EtlError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DatabaseDidNotStart(disk_is_full(directory))
    return DataDirectoryUnusable(
        f"{directory} cannot be used for the database: {error.strerror}{_named(error)}. "
        "Make it writable for this user, or set data.directory to another directory."
    )


def _named(error: OSError) -> str:
    return f" ({error.filename})" if error.filename else ""

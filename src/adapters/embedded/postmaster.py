"""Keeps one postmaster running, from a thread of its own, until it is told to stop."""

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from psycopg.pq import PGconn, Ping

from adapters.embedded import pid_file
from adapters.embedded.cluster import disk_is_full, explained
from adapters.embedded.leftovers import server_lock_of, title
from adapters.embedded.programs import Programs
from adapters.embedded.server_log import ServerLog
from adapters.embedded.settings import command_line
from adapters.embedded.sockets import PORT, SocketDirectory
from domain.errors import DatabaseDidNotStart, EtlError

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
FIRST_LOOK, LONGEST_LOOK = 0.02, 1.0  # each look during a recovery is a line in PostgreSQL's log
LIVED_WELL = 60.0  # seconds: who lived that long is restarted without delay
TRIM_EVERY = 10.0
FULL_BYTES = 1024 * 1024
REFUSED = 1  # its exit status where it could not start, or not recover
FAST_SHUTDOWN_SECONDS = 60.0

Notice = Callable[..., None]


class Postmaster:
    """The thread exists because the parent-death signal comes when the *thread* that started it ends."""

    def __init__(self, cluster: Path, sockets: SocketDirectory, programs: Programs, notice: Notice) -> None:
        self._cluster, self._sockets, self._programs, self._notice = cluster, sockets, programs, notice
        self._log = ServerLog(cluster.with_name("postgres.log"))
        self._mutex = threading.Lock()  # no launch between the wish to stop and the signal
        self._stopping = threading.Event()
        self._serving = self._given_up = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="embedded-postgres", daemon=True)
        self._failure: EtlError | OSError | None = None

    def start(self) -> None:
        """Returns when it accepts connections, however long a recovery takes; raises if it ends before."""
        offset = self._log.size()
        self._thread.start()
        pause = FIRST_LOOK
        while not self._serves():
            self._thread.join(pause)
            pause = min(pause * 1.5, LONGEST_LOOK)
            if not self._thread.is_alive():
                said = self._log.read_from(offset)
                raise self._failure or DatabaseDidNotStart(explained(said, self._cluster.parent))

    def abandon(self) -> None:
        """Lets a `start` that still waits for a recovery end; from any thread, returns at once."""
        with self._mutex:
            self._stopping.set()
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """Open transactions are rolled back and connections closed. May be called again."""
        self.abandon()
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if not self._thread.is_alive():
                return
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(number)
            self._thread.join(FAST_SHUTDOWN_SECONDS)

    def _serves(self) -> bool:
        """From the first yes on, the thread restarts it instead of giving up."""
        accepts = self._accepts()
        with self._mutex:
            self._serving = accepts and not self._given_up
            return self._serving

    def _gives_up(self) -> bool:
        with self._mutex:
            self._given_up = self._stopping.is_set() or not self._serving
            return self._given_up

    def _accepts(self) -> bool:
        host = str(self._sockets.path).replace("\\", "\\\\").replace("'", "\\'")
        conninfo = f"host='{host}' port={PORT} user=etl dbname=etl connect_timeout=2"
        return PGconn.ping(conninfo.encode()) == Ping.OK

    def _keep(self) -> None:
        pause, told = FIRST_PAUSE, None
        while True:
            began, offset = time.monotonic(), self._log.size()
            status = self._live_once()
            if self._gives_up():
                return
            if time.monotonic() - began > LIVED_WELL:
                pause, told = FIRST_PAUSE, None
            if status != REFUSED or told != REFUSED:  # while its disk is full it refuses all the time
                self._tell(status, pause, offset)
            told = status
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _tell(self, status: int | None, pause: float, offset: int) -> None:
        with suppress(Exception):  # a listener that fails must not cost the database
            facts = {"reason": self._why(offset)} if status == REFUSED else {}
            self._notice("postgres.died", exit_status=status, restart_in_seconds=pause, **facts)

    def _why(self, offset: int) -> str:
        """A full disk may have kept PostgreSQL's own word from its log, which lies there too."""
        if shutil.disk_usage(self._cluster).free < FULL_BYTES:
            return disk_is_full(self._cluster.parent)
        return explained(self._log.read_from(offset), self._cluster.parent)

    def _live_once(self) -> int | None:
        """Its exit status, or None if it could not even be started (no process, no descriptor left)."""
        try:
            process = self._launch()
        except (EtlError, OSError) as failure:
            self._failure = failure
            return None
        while process is not None and not _ended(process, TRIM_EVERY):
            with suppress(OSError):  # a log that cannot be cut is no reason to stop
                self._log.trim()
        return process.returncode if process else None

    def _launch(self) -> subprocess.Popen[bytes] | None:
        server_lock = server_lock_of(self._cluster.parent, self._cluster)
        try:
            pid_file.disown(self._cluster)
            self._sockets.clear()
            self._log.trim()
            with self._mutex, self._log.open() as log:
                if not self._stopping.is_set():
                    self._process = self._programs.start(
                        "postgres",
                        *command_line(
                            self._programs.location(self._cluster),
                            self._sockets.for_server,
                            title(self._cluster),
                        ),
                        cluster=self._cluster,
                        server_lock=server_lock,
                        output=log.fileno(),
                    )
                return None if self._stopping.is_set() else self._process
        finally:
            os.close(server_lock)  # from here on PostgreSQL alone holds it


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """By pidfd where there is one: `Popen.wait` with a limit looks twenty times a second."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        return _ended_by_looking(process, seconds)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        os.close(descriptor)
    return process.poll() is not None


def _ended_by_looking(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True

"""Forks supervisors in about a millisecond each, and is the subreaper of last resort."""

import gc
import os
import select
import signal
import socket
from contextlib import suppress
from typing import Any, Final

from adapters.process.supervisor import attempt, kernel, start_errors, tree
from adapters.process.supervisor.channel import Channel
from adapters.process.supervisor.launch import CONTROL_SOCKET
from adapters.process.supervisor.wakeup import Wakeup

_READ_BYTES: Final = 65536
_DESCRIPTORS: Final = 2  # the control connection and the launch
_BACKLOG: Final = 8
_IDLE_MS: Final = 60_000
_FIRST_PAUSE_MS: Final = 2
_LONGEST_PAUSE_MS: Final = 500


def serve(socket_fd: int, lock_fd: int) -> None:
    """Until the worker has gone and no supervisor is left.

    The lock on the run directory is shared with the worker, and let go when its connection ends:
    who holds it next knows that nothing is started in that directory any more.
    """
    os.closerange(max(socket_fd, lock_fd) + 1, os.sysconf("SC_OPEN_MAX"))
    os.set_inheritable(socket_fd, False)
    os.set_inheritable(lock_fd, False)
    os.setsid()  # the terminal's Ctrl-C and hang-up are the worker's
    os.chdir("/")
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    kernel.set_name("etl-zygote")
    kernel.become_subreaper()
    kernel.set_dumpable(dumpable=False)
    gc.freeze()  # what is here now is shared with every fork: no collection there writes to its pages
    Zygote(socket.socket(fileno=socket_fd), lock_fd, Wakeup()).run()


class Zygote:
    """Supervisors by pid; whatever else becomes a child of this process has lost its supervisor."""

    def __init__(self, worker: socket.socket, lock: int, wakeup: Wakeup) -> None:
        self._worker: Channel | None = Channel(worker)
        self._lock = lock
        self._wakeup = wakeup
        self._supervisors: dict[int, str] = {}
        self._asked: list[str] = []
        self._strays = False
        self._pause_ms = _FIRST_PAUSE_MS
        self._poll = select.poll()
        self._poll.register(self._wakeup, select.POLLIN)
        self._poll.register(worker, select.POLLIN)

    def run(self) -> None:
        while self._worker or self._supervisors or self._strays:
            for descriptor, _ in self._poll.poll(self._pause_ms if self._strays else _IDLE_MS):
                if descriptor == self._wakeup.fileno():
                    self._wakeup.clear()
                else:
                    self._hear()
            self._reap()
            if self._strays:
                self._kill_strays()
            self._answer()

    # -- starting ------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Descriptors end a read of a stream socket, so those that came belong to the last message."""
        assert self._worker is not None  # noqa: S101 - only its descriptor leads here
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._worker.socket, _READ_BYTES, _DESCRIPTORS, getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._let_go()
            return
        for message in self._worker.take(data):
            if "settle" in message:
                self._asked.append(message["settle"])
            else:
                self._fork(message, *descriptors)

    def _let_go(self) -> None:
        if self._worker is not None:
            self._poll.unregister(self._worker)
            self._worker.close()
            self._worker = None
            os.close(self._lock)

    def _fork(self, message: dict[str, Any], control_fd: int, specification: int) -> None:
        """The listening socket exists before the supervisor does, so that an attempt without one is
        known never to have been started.
        """
        os.set_inheritable(control_fd, False)
        os.set_inheritable(specification, False)
        control = socket.socket(fileno=control_fd)
        try:
            with _listen(message["directory"]) as listener:
                pid = os.fork()
                if pid == 0:
                    self._leave()
                    attempt.attend(specification, control, listener)
            self._supervisors[pid] = message["fork"]
        except OSError as error:
            _refuse(control, message["directory"], error)
        control.close()
        os.close(specification)

    def _leave(self) -> None:
        """In the fork: nothing of the zygote may be kept open, least of all the lock."""
        self._wakeup.close()
        if self._worker is not None:
            self._worker.close()
            os.close(self._lock)

    # -- ending --------------------------------------------------------------------------------------

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._supervisors.pop(pid, None) is not None and status != 0:
                self._strays = True
                self._pause_ms = _FIRST_PAUSE_MS

    def _kill_strays(self) -> None:
        processes = tree.snapshot()
        mine = os.getpid()
        roots = [p for p, e in processes.items() if e[0] == mine and p not in self._supervisors]
        if not roots:
            self._strays = False
            return
        self._pause_ms = min(self._pause_ms * 2, _LONGEST_PAUSE_MS)
        for root in roots:
            for process in ((root, processes[root][2]), *tree.below(root, processes)):
                tree.send(process, signal.SIGKILL)
        self._reap()

    def _answer(self) -> None:
        """Settled: that supervisor is dead and reaped, and all that it left behind is dead too."""
        if self._strays or self._worker is None:
            return
        running = set(self._supervisors.values())
        for name in [n for n in self._asked if n not in running]:
            self._asked.remove(name)
            self._worker.send({"settled": name})


def _listen(directory: str) -> socket.socket:
    """Bound by its short name, since a socket's path may have 107 bytes only (unix(7))."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.chdir(directory)
        listener.bind(CONTROL_SOCKET)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.chdir("/")
    return listener


def _refuse(control: socket.socket, directory: str, error: OSError) -> None:
    """An infrastructure failure of this start; never the end of the zygote."""
    number = error.errno or 0
    why = start_errors.of_the_machine(number)
    Channel(control).send({"exit": {"start_error": why}})
    with suppress(OSError):
        os.unlink(os.path.join(directory, CONTROL_SOCKET))

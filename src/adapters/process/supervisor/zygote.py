"""Forks supervisors, gives them attempts, and is the subreaper of last resort."""

import gc
import os
import select
import signal
import socket
from typing import Any, Final

from adapters.process.supervisor import attempt as attempt_process
from adapters.process.supervisor import fork, kernel, record, start_errors, tree
from adapters.process.supervisor.channel import Channel
from adapters.process.supervisor.homes import Homes
from adapters.process.supervisor.places import Places
from adapters.process.supervisor.wakeup import Wakeup

_READ_BYTES: Final = 65536
_DESCRIPTORS: Final = 2  # the control connection and the launch
_SPARES: Final = 16
"""As many wait for their next attempt: a fork, and the copies of its pages, take longer than /bin/true."""
_IDLE_MS: Final = 60_000
_FIRST_PAUSE_MS: Final = 2
_LONGEST_PAUSE_MS: Final = 500


def serve(socket_fd: int, lock_fd: int, groups: str | None) -> None:
    """Until the worker has gone and no supervisor is left. `groups`: where control groups may be made.

    The lock on the run directory is shared with the worker, and let go when its connection ends:
    who holds it next knows that nothing is started in that directory any more.
    """
    os.closerange(max(socket_fd, lock_fd) + 1, os.sysconf("SC_OPEN_MAX"))
    os.set_inheritable(socket_fd, False)
    os.set_inheritable(lock_fd, False)
    os.setsid()  # the terminal's Ctrl-C and hang-up are the worker's
    os.chdir("/")
    os.umask(0o077)
    _heed_signals_again()
    kernel.set_name("etl-zygote")
    kernel.become_subreaper()
    kernel.set_dumpable(dumpable=False)
    gc.freeze()  # what is here now is shared with every fork: no collection there writes to its pages
    Zygote(socket.socket(fileno=socket_fd), lock_fd, Wakeup(), groups).run()


class Supervisor:
    """A child, and the name of the attempt that it has; None while it waits for one, in its place."""

    def __init__(self, pid: int, link: socket.socket, home: str | None, place: str) -> None:
        self.pid = pid
        self.link = link
        self.home = home
        self.place = place
        self.attempt: str | None = None


class Zygote:
    """Supervisors by pid; whatever else becomes a child of this process has lost its supervisor."""

    def __init__(self, worker: socket.socket, lock: int, wakeup: Wakeup, groups: str | None = None) -> None:
        self._worker: Channel | None = Channel(worker)
        self._lock = lock
        self._homes = Homes(groups)
        self._places = Places()
        self._wakeup = wakeup
        self._supervisors: dict[int, Supervisor] = {}
        self._links: dict[int, Supervisor] = {}
        self._free: list[Supervisor] = []
        self._asked: list[str] = []
        self._strays = False
        self._pause_ms = _FIRST_PAUSE_MS
        self._poll = select.poll()
        self._poll.register(self._wakeup, select.POLLIN)
        self._poll.register(worker, select.POLLIN)

    def run(self) -> None:
        while self._worker or self._supervisors or self._strays:
            ready = self._poll.poll(self._pause_ms if self._strays else _IDLE_MS)
            for descriptor, _ in ready:
                if descriptor == self._wakeup.fileno():
                    self._wakeup.clear()
                elif (supervisor := self._links.get(descriptor)) is not None:
                    self._hear_of(supervisor)
            if self._worker is not None and self._worker.fileno() in dict(ready):
                self._hear()  # last: who became free before this was asked is known to be
            self._reap()
            if self._strays:
                self._kill_strays()
            else:
                self._homes.remove_vacant()
            self._answer()
            if not ready:
                self._dismiss_spares(1)
        self._homes.close()

    # -- starting ------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Descriptors end a read of a stream socket, so those that came belong to the last message."""
        assert self._worker is not None  # noqa: S101 - only its descriptor leads here
        try:
            data, descriptors, _, _ = socket.recv_fds(self._worker.socket, _READ_BYTES, _DESCRIPTORS)
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
                self._start(message, *descriptors)

    def _let_go(self) -> None:
        if self._worker is not None:
            self._poll.unregister(self._worker)
            self._worker.close()
            self._worker = None
            os.close(self._lock)
        self._dismiss_spares(0)

    def _start(self, message: dict[str, Any], control_fd: int, specification: int) -> None:
        """The listening socket exists before a supervisor knows of the attempt, so that one without it is
        known never to have been started.
        """
        os.set_inheritable(control_fd, False)
        os.set_inheritable(specification, False)
        control = socket.socket(fileno=control_fd)
        try:
            self._give(message["start"], message["directory"], [control_fd, specification])
        except OSError as error:
            _refuse(control, error)
        control.close()
        os.close(specification)

    def _give(self, attempt: str, directory: str, descriptors: list[int]) -> None:
        """To one that is free, the latest first: its pages are its own already. Raises OSError."""
        while True:
            supervisor = (
                self._free.pop() if self._free else self._fork(os.path.dirname(directory), descriptors)
            )
            try:
                os.rename(supervisor.place, directory)
            except OSError as error:
                self._hang_up(supervisor)
                if isinstance(error, FileNotFoundError) and os.path.isdir(os.path.dirname(directory)):
                    continue  # somebody has removed its place
                raise
            try:
                socket.send_fds(supervisor.link, [b"."], descriptors)
            except OSError as error:
                self._hang_up(supervisor)
                record.forget(directory)
                if isinstance(error, ConnectionError):
                    continue  # it was killed while it waited
                raise
            supervisor.attempt = attempt
            return

    def _fork(self, run_directory: str, given: list[int]) -> Supervisor:
        """The fork gets what is `given` as all others do, over its link: it must not keep it twice."""
        place, listener = self._places.new(run_directory)
        home = self._homes.new()
        ours, theirs = socket.socketpair()
        try:
            pid, is_at_home = fork.fork(home)
        except OSError:
            for end in (ours, theirs, listener):
                end.close()
            record.forget(place)
            self._homes.vacate(home)
            raise
        if pid == 0:
            ours.close()
            self._leave()
            for descriptor in given:
                os.close(descriptor)
            attempt_process.attend(theirs, home if is_at_home else None, place, listener)
        theirs.close()
        listener.close()
        ours.setblocking(False)
        supervisor = self._supervisors[pid] = self._links[ours.fileno()] = Supervisor(pid, ours, home, place)
        self._poll.register(ours, select.POLLIN)
        return supervisor

    def _leave(self) -> None:
        """In the fork: nothing of the zygote may be kept open, least of all the lock."""
        self._wakeup.close()
        for supervisor in self._links.values():
            supervisor.link.close()
        if self._worker is not None:
            self._worker.close()
            os.close(self._lock)

    def _hear_of(self, supervisor: Supervisor) -> None:
        try:
            word = supervisor.link.recv(1)
        except OSError:
            word = b""
        if word == attempt_process.FREE:
            supervisor.attempt = None
        if word and self._worker is not None and len(self._free) < _SPARES:
            self._free.append(supervisor)
        else:
            self._hang_up(supervisor)

    def _dismiss_spares(self, kept: int) -> None:
        while len(self._free) > kept:
            self._hang_up(self._free[0])

    def _hang_up(self, supervisor: Supervisor) -> None:
        """A supervisor ends where nobody gives it anything any more. May be called again."""
        if self._links.pop(supervisor.link.fileno(), None) is not None:
            self._poll.unregister(supervisor.link)
            supervisor.link.close()
        if supervisor in self._free:
            self._free.remove(supervisor)

    # -- ending --------------------------------------------------------------------------------------

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            supervisor = self._supervisors.pop(pid, None)
            if supervisor is None:
                continue
            self._hang_up(supervisor)
            self._homes.vacate(supervisor.home)
            record.forget(supervisor.place)
            if status != 0:
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
        running = {supervisor.attempt for supervisor in self._supervisors.values()}
        for name in [n for n in self._asked if n not in running]:
            self._asked.remove(name)
            self._worker.send({"settled": name})


def _refuse(control: socket.socket, error: OSError) -> None:
    """An infrastructure failure of this start; never the end of the zygote."""
    Channel(control).send({"exit": start_errors.of_the_machine(error.errno or 0)})


def _heed_signals_again() -> None:
    """What a service was told to ignore (`nohup`, a shell's `&`: SIGQUIT) is no wish of its programs. Once
    here, and not in each of them. Those that Python ignores of itself are for program.py to undo.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)

"""The worker's side of the zygote: starts it, starts it again when it was killed, asks it for supervisors."""

import asyncio
import errno
import fcntl
import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Final

from adapters.process.supervisor import main
from adapters.process.supervisor.channel import Channel

_SOCKET_FD: Final = 3
_LOCK_FD: Final = 4
_ABOVE: Final = 10
_SETTLE_SECONDS: Final = 10.0
_FULL_PAUSE: Final = 0.005


class ZygoteLink:
    """A zygote that dies takes no running attempt with it; the next start makes a new one."""

    def __init__(self, lock: int, errors: Path, groups: Path | None) -> None:
        self._lock = lock
        self._groups = groups
        self._errors = errors
        self._channel: Channel | None = None
        self._settling: dict[str, asyncio.Future[None]] = {}
        self.pid = 0

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.pid = _spawn(theirs.fileno(), self._lock, self._errors, self._groups)
        # A thread in waitpid(2): the zygote may outlive this link, and must not become a zombie then.
        threading.Thread(target=os.waitpid, args=(self.pid, 0), daemon=True, name="zygote").start()
        self._channel = Channel(ours)
        asyncio.get_running_loop().add_reader(ours, self._hear, self._channel)

    def close(self) -> None:
        """The zygote ends once it has no supervisor left. May be called again."""
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.socket)
            self._channel.close()
            self._channel = None
        for waiting in self._settling.values():
            waiting.cancel()
        self._settling.clear()

    async def supervise(self, name: str, directory: Path, control: int, specification: int) -> None:
        """Asks for a supervisor for this attempt; what becomes of it is told on `control`. Raises OSError
        where no zygote can be started.
        """
        message = json.dumps({"start": name, "directory": str(directory)}).encode() + b"\n"
        while True:
            if self._channel is None:
                self.start()
            try:
                if self._send(message, [control, specification]):
                    return
            except (BrokenPipeError, ConnectionResetError):
                self.close()  # it was killed before it read this, so a new one may be asked
            else:
                await asyncio.sleep(_FULL_PAUSE)

    async def settled(self, name: str) -> None:
        """Returns when that supervisor is dead and all that it left behind is dead too; at once where
        this zygote has died, after a while where a process cannot be killed.
        """
        if self._channel is None:
            return
        waiting = self._settling.setdefault(name, asyncio.get_running_loop().create_future())
        if self._channel.send({"settle": name}):
            await asyncio.wait([waiting], timeout=_SETTLE_SECONDS)

    def _send(self, message: bytes, descriptors: list[int]) -> bool:
        """False while the zygote has more to read than the socket takes."""
        assert self._channel is not None  # noqa: S101 - the caller has just started it
        try:
            socket.send_fds(self._channel.socket, [message], descriptors)
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS}:
                return False
            raise
        return True

    def _hear(self, channel: Channel) -> None:
        messages = channel.receive()
        if messages is None:
            self.close()
            return
        for message in messages:
            waiting = self._settling.pop(message["settled"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)


def _spawn(worker: int, lock: int, errors: Path, groups: Path | None) -> int:
    """posix_spawn and no fork: this process has threads. Its environment is empty: /proc/PID/environ of
    a supervisor, which a program can find as its parent, holds nothing.
    """
    descriptors = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for fd in (worker, lock)]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(errors), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, descriptors[0], _SOCKET_FD),
        (os.POSIX_SPAWN_DUP2, descriptors[1], _LOCK_FD),
    ]
    arguments = [sys.executable, "-I", "-S", str(main.__file__), str(_SOCKET_FD), str(_LOCK_FD)]
    arguments += [] if groups is None else [str(groups)]
    try:
        return os.posix_spawn(sys.executable, arguments, {}, file_actions=actions)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)

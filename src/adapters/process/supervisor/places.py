"""The directories in which the attempts of supervisors lie, made once for all attempts of one supervisor."""

import os
import socket
from typing import Final

from adapters.process.supervisor.launch import CONTROL_SOCKET, FORGOTTEN

_BACKLOG: Final = 8


class Places:
    """To make and remove files takes a file system more than all that is done with them: so an attempt gets
    its directory, with the socket in it, by a rename, and is forgotten by another.
    """

    def __init__(self) -> None:
        self._made = 0

    def new(self, run_directory: str) -> tuple[str, socket.socket]:
        """Its path, and the socket in it that listens. Raises OSError."""
        while True:
            self._made += 1
            path = os.path.join(run_directory, f"{FORGOTTEN}{os.getpid()}-{self._made}")
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:  # of another life, whose zygote had the same pid
                continue
            return path, _listen(path)


def _listen(directory: str) -> socket.socket:
    """Bound by its short name: a socket's path may have 107 bytes only (unix(7))."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.chdir(directory)
        listener.bind(CONTROL_SOCKET)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    finally:
        os.chdir("/")
    return listener

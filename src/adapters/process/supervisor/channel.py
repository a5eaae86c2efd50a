"""JSON, one object a line, over a non-blocking stream socket; either side may be gone at any time."""

import json
import socket
from typing import Any

_READ_BYTES = 65536


def unix_socket(descriptor: int) -> socket.socket:
    """Of one that came as a number. Not asked what it is: that takes three system calls."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)


class Channel:
    """Never blocks and never raises for a lost peer: `receive` tells it as None."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self._rest = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: dict[str, Any]) -> bool:
        """False if the peer is gone, or has not read for thousands of messages."""
        line = json.dumps(message).encode() + b"\n"
        try:
            return self.socket.send(line) == len(line)
        except OSError:
            return False

    def receive(self) -> list[dict[str, Any]] | None:
        """The messages that have come; None at the end of the connection."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return self.take(data) if data else None

    def take(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        self.socket.close()

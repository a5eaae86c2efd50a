"""A server of our own: `etl serve` as a process, on a free port, in a directory of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from entrypoints.cli.address import Address
from entrypoints.cli.failure import Failure
from entrypoints.whereabouts import ADMIN_KEY_FILE, announced

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 60.0
LOG_FILE: Final = "serve.log"
LAST_LINES: Final = 5


@dataclass(slots=True)
class StartedServer:
    """`data` holds the files by which the command line finds it."""

    process: subprocess.Popen[bytes]
    directory: Path
    address: Address

    @classmethod
    def start(cls, directory: Path, scripts: Path) -> Self:
        """Returns when it is ready. Raises Failure with the end of its log if it does not come up."""
        program = [sys.executable, "-I", str(Path(__file__).with_name("__main__.py")), "serve"]
        settings = {"data.directory": directory / "data", "scripts.directory": scripts, "http.port": 0}
        flags = [f"--{name}={value}" for name, value in settings.items()]
        with (directory / LOG_FILE).open("wb") as log:
            # A session of its own: Ctrl-C is ours to handle, and with --keep it outlives us.
            process = subprocess.Popen(  # noqa: S603 - argv only, no shell
                [*program, *flags],
                cwd=directory,
                env=_without_ours(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        server = cls(process, directory, Address("", None))
        try:
            server.address = server._ready()
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        """Lets what runs end, for a minute. May be called again."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
            return
        self.process.kill()
        self.process.wait()

    def _ready(self) -> Address:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            if (server := announced(self.data)) is not None:
                return Address(server.url, (self.data / ADMIN_KEY_FILE).read_text(encoding="utf-8").strip())
            time.sleep(0.05)
        lines = (self.directory / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
        raise Failure("The server did not start:\n  " + "\n  ".join(lines[-LAST_LINES:]))


def _without_ours() -> dict[str, str]:
    """The environment without settings: those of this shell are for another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ETL_")}

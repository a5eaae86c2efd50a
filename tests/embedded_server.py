"""One PostgreSQL for a test run; it ends with the process that started it.

The product's own (adapters/embedded) is found, and run as another user by root, in the same way. It has
passwords, heals itself and cannot be killed from outside, so tests that share or break one have this.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from adapters.embedded.account import account_for
from adapters.embedded.binaries import binaries_for

START_SECONDS: Final = 60
PR_SET_PDEATHSIG: Final = 1
SETTINGS: Final = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10s",
}


class Server:
    """Durable settings stay on: tests prove what users run. `kill` and `start` are for crash tests.

    `listen`: an address to listen on, open to its network; without one there is the socket alone.
    `programs`: those of another PostgreSQL than the packaged one.
    """

    def __init__(self, listen: str = "", programs: Path | None = None) -> None:
        self._listen = listen
        # A short path: a socket's name has room for 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="etlpg-", dir="/tmp"))
        self._account = account_for(self._data)
        self._account.own(self.directory)
        self._programs = programs or binaries_for(self._account)
        self._process: subprocess.Popen[bytes] | None = None
        self._make_cluster()
        if listen:
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet trust\n")

    @property
    def url(self) -> str:
        return f"postgresql://etl@/postgres?host={self.directory}"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def start(self) -> None:
        pairs = {**SETTINGS, "listen_addresses": self._listen}.items()
        settings = [part for name, value in pairs for part in ("-c", f"{name}={value}")]
        argv = [str(self._programs / "postgres"), "-D", str(self._data), "-k", str(self.directory), *settings]
        log = (self.directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - tests start servers before they have threads
                **self._user(),
            )
        self._wait_until_ready()

    def kill(self) -> None:
        """As a crash: nothing is written down first."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        self._end(signal.SIGINT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        ready = [str(self._programs / "pg_isready"), "-q", "-h", str(self.directory)]
        while subprocess.run(ready, check=False).returncode:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.directory / "log").read_text()[-2000:])
            time.sleep(0.05)

    def _make_cluster(self) -> None:
        options = ("-U", "etl", "--auth=trust", "--encoding=UTF8", "--no-sync")
        argv = [str(self._programs / "initdb"), "-D", str(self._data), *options]
        subprocess.run(argv, check=True, capture_output=True, cwd="/", **self._user())

    def _user(self) -> dict[str, Any]:
        if not self._account.is_another_user:
            return {}
        return {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}


def _die_with_parent() -> None:
    os.setsid()  # Ctrl-C at the terminal is for the tests
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def other_versions() -> list[Path]:
    """The programs of other supported versions, where a distribution keeps them; the oldest first."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("1[567]/bin/initdb")]
    return sorted(found)

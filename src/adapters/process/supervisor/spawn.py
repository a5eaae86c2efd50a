"""Starts a program without a copy of this process: posix_spawn(3) lends its memory to the child until the
exec, as vfork(2) does. A fork of Python, and the faults on the pages of both, took four times as long.

Nothing of ours can run in such a child: it inherits what it needs, and the leash does the rest. What needs
more is for program.py. This process waits for the exec: a program on a disk that hangs holds up its own
supervisor, which the fuse ends at the deadline.
"""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from adapters.process.supervisor.launch import WORK_DIR_VARIABLE, Launch
from adapters.process.supervisor.leash import Leash
from adapters.process.supervisor.start_errors import NotStarted

_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)
"""By this process. What it handles, exec sets back by itself."""


def start(launch: Launch, stdout: int, stderr: int, leash: Leash) -> int:
    """The pid. Raises NotStarted.

    Empty stdin, umask, no new privileges: as this process has them. All its other descriptors are closed by
    the exec.
    """
    environment = {**launch.environment, WORK_DIR_VARIABLE: launch.work_directory}
    with _within(launch.directory):
        try:
            pid = _spawned(launch.argv, environment, stdout, stderr)
        except ValueError as error:  # a NUL: refused at submit, so this is the last line of defence
            raise NotStarted("value", 0) from error
        except OSError as error:
            raise NotStarted("program", error.errno or 0) from error
    leash.hold(pid)
    return pid


@contextmanager
def _within(directory: str) -> Iterator[None]:
    """A child begins where its parent is."""
    try:
        os.chdir(directory)
    except OSError as error:
        raise NotStarted("directory", error.errno or 0) from error
    try:
        yield
    finally:
        os.chdir("/")


def _spawned(argv: list[str], environment: dict[str, str], stdout: int, stderr: int) -> int:
    """As os.execvpe looks for a name without a slash: on the PATH of the job."""
    found: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for path in _places(argv[0], environment):
        try:
            return os.posix_spawn(
                path,
                argv,
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)],
                setsid=True,
                setsigmask=(),
                setsigdef=_IGNORED,
            )
        except OSError as error:
            if found.errno in (errno.ENOENT, errno.ENOTDIR):
                found = error
    raise found


def _places(program: str, environment: dict[str, str]) -> list[str]:
    if os.path.dirname(program):
        return [program]
    places = [os.path.join(place, program) for place in os.get_exec_path(environment)]
    return [place for place in places if os.path.lexists(place)]

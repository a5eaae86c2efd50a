"""Turns a fork of the supervisor into the program, or tells why it could not: for what spawn.py cannot do."""

import os
import signal
from typing import Final, NoReturn

from adapters.process.supervisor import fork, kernel, limits
from adapters.process.supervisor.group import Group
from adapters.process.supervisor.launch import WORK_DIR_VARIABLE, Launch, User
from adapters.process.supervisor.start_errors import NotStarted

_ERROR_FD: Final = 3
_NOT_STARTED: Final = 127
_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Not all signals: Python makes an enum member of each in each answer, which took 0.15 ms."""


def start(launch: Launch, stdout: int, stderr: int) -> tuple[int, int]:
    """The pid, and the error pipe: at its end it holds nothing if the program was executed, else the
    step that failed and its errno. Raises NotStarted where even fork failed.

    Only a single-threaded process may call this: PDEATHSIG belongs to the thread that forks.
    """
    supervisor = os.getpid()
    told, tell = os.pipe()
    # A stop that comes before the exec waits for the child to be ready: the supervisor ignores it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        pid, is_in_group = fork.fork(launch.group)
    except OSError as error:
        os.close(told)
        os.close(tell)
        raise NotStarted("fork", error.errno or 0) from error
    finally:
        if os.getpid() == supervisor:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if pid == 0:
        _become(launch._replace(group=None) if is_in_group else launch, supervisor, stdout, stderr, tell)
    os.close(tell)
    return pid, told


def failure(told: int) -> tuple[str, int] | None:
    """What the error pipe of an ended program holds."""
    with open(told, "rb") as pipe:
        words = pipe.read().split()
    return (words[0].decode(), int(words[1])) if words else None


def _become(launch: Launch, supervisor: int, stdout: int, stderr: int, tell: int) -> NoReturn:
    step = "prepare"
    try:
        _leave_the_supervisor(supervisor)
        tell = _keep_only(stdout, stderr, tell)
        os.umask(0o077)
        if launch.group is not None:
            step = "control group"
            Group(launch.group).join()
        if launch.memory_group is not None:
            step = "memory group"
            Group(launch.memory_group).join()
        step = "limits"
        limits.restrict(launch.limits)
        if launch.user is not None:
            step = "user"
            _change_user(launch.user, supervisor)
        step = "directory"
        os.chdir(launch.directory)
        step = "program"
        environment = {**launch.environment, WORK_DIR_VARIABLE: launch.work_directory}
        os.execvpe(launch.argv[0], launch.argv, environment)  # noqa: S606 - argv only; PATH is the job's own
    except ValueError:  # a NUL in an argument: refused at submit, so this is the last line of defence
        os.write(tell, b"value 0")
    except BaseException as error:  # noqa: BLE001 - else it would look like a program that exited with 127
        os.write(tell, f"{step} {getattr(error, 'errno', None) or 0}".encode())
    finally:
        os._exit(_NOT_STARTED)


def _leave_the_supervisor(supervisor: int) -> None:
    os.setsid()
    _die_with(supervisor)
    for number in (*_STOPS, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _keep_only(stdout: int, stderr: int, tell: int) -> int:
    """Descriptors 0 to 2, and the error pipe until exec closes it; where that is now."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, stdout, stderr)):
        os.dup2(descriptor, number)
    if tell != _ERROR_FD:  # dup3(2) refuses two equal numbers
        os.dup2(tell, _ERROR_FD, inheritable=False)
    os.closerange(_ERROR_FD + 1, os.sysconf("SC_OPEN_MAX"))
    return _ERROR_FD


def _change_user(user: User, supervisor: int) -> None:
    """The pipes become its own, or it could not open /dev/stdout. setuid(2) clears PDEATHSIG."""
    for descriptor in (1, 2):
        os.fchown(descriptor, user["uid"], user["gid"])
    os.setgroups(user["groups"])
    os.setgid(user["gid"])
    os.setuid(user["uid"])
    _die_with(supervisor)


def _die_with(supervisor: int) -> None:
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before the line above
        os._exit(_NOT_STARTED)

"""A process that the zygote forked: supervises one attempt after the other, never two at once."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

from adapters.process.supervisor import gear, keepsake, kernel, launch, record, scratch, start_errors
from adapters.process.supervisor.channel import Channel
from adapters.process.supervisor.gear import Gear
from adapters.process.supervisor.launch import Launch
from adapters.process.supervisor.supervise import Supervisor

FREE: Final = b"."
"""What a supervisor tells the zygote when it can take another attempt."""
_DESCRIPTORS: Final = 3
"""With an attempt come its control connection, its launch, and the socket where its next worker finds it."""
_ATTEMPTS: Final = 256
"""Then a fresh fork takes its place: nothing piles up in it for ever."""
_SYNC_SECONDS: Final = 0.2
_SCRATCH_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0


def attend(link: socket.socket, home: str | None) -> NoReturn:
    """Never returns. `home`: the control group in which this process is. Status 0 says that no process of any
    tree is left, any other makes the zygote look.
    """
    status = 1
    try:
        os.setsid()
        kernel.set_name("etl-supervisor")
        status = _attend_all(link, gear.make(home))
    except BaseException:  # noqa: BLE001 - this is the top of the process; the worker sees it as lost
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _attend_all(link: socket.socket, own: Gear) -> int:
    """Until the zygote has gone or lets go, or something could not be killed."""
    for others in reversed(range(_ATTEMPTS)):
        if (received := _received(link)) is None:
            return 0
        control, specification, listener = received
        given = own.placed(launch.read(specification))
        supervisor = Supervisor(given, Channel(control), listener, own)
        if _attend(given, supervisor):
            return 1
        # A thread that hangs on a disk is left behind by the exit; no program is forked beside it.
        is_free = others and not (supervisor.keeps or own.is_worn) and threading.active_count() == 1
        if is_free:
            with suppress(OSError):  # the zygote was killed; the next read says so
                link.send(FREE)
        supervisor.let_go()
        if not is_free:
            return 0
    return 0


def _received(link: socket.socket) -> tuple[socket.socket, int, socket.socket] | None:
    flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    try:
        _, descriptors, _, _ = socket.recv_fds(link, 1, _DESCRIPTORS, flags)
    except OSError:
        return None
    if not descriptors:
        return None
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    control, specification, listener = descriptors
    waiting = socket.socket(fileno=listener)
    waiting.setblocking(False)
    return socket.socket(fileno=control), specification, waiting


def _attend(given: Launch, supervisor: Supervisor) -> int:
    """From its start until nobody needs it any more; how many processes are left."""
    end = _in_its_places(given, supervisor)
    result = {"job_id": given.job_id, "fence": given.fence, **end}
    if supervisor.keeps:
        keepsake.leave(given.attempt_directory)  # before the end is told, or a sweep might come first
    _keep(given.attempt_directory, result, supervisor)
    # After the record, since a large scratch takes long; before the news, since `wait` promises it gone.
    _remove_scratch(given.work_directory, lambda: supervisor.tell(result))
    left = int(end.get("processes_left", 0))
    if supervisor.keeps:
        record.sync(given.attempt_directory)
        supervisor.outlast(lambda: record.forget(given.attempt_directory))
        keepsake.remove(given.attempt_directory)
        left = 0
    if left == 0:
        _forget_when_told(given.attempt_directory, supervisor)
    return left


def _in_its_places(given: Launch, supervisor: Supervisor) -> dict[str, Any]:
    try:
        record.begin(given)
    except OSError as error:
        return {**start_errors.of_the_machine(error.errno or 0)}
    try:
        scratch.make(given.work_directory, given.user)
    except OSError as error:
        return {**start_errors.of_the_scratch(error.errno or 0)}
    return supervisor.run()


def _keep(directory: str, result: dict[str, Any], supervisor: Supervisor) -> None:
    """Stays until the result is in its file: while the disk is full, this process is the record.

    A worker that is connected learns it meanwhile, and its `forget` ends this.
    """
    while os.path.isdir(directory):
        try:
            record.end(directory, result)
        except OSError:
            supervisor.tell(result)
            if supervisor.is_dismissed(_RETRY_SECONDS):
                return
            if not supervisor.is_followed:
                time.sleep(_RETRY_SECONDS)
        else:
            return


def _remove_scratch(path: str, tell: Callable[[], None]) -> None:
    if scratch.is_removed(path):
        tell()
        return
    removal = threading.Thread(target=scratch.remove, args=(path,))
    removal.start()
    removal.join(_SCRATCH_SECONDS)
    tell()
    removal.join()


def _forget_when_told(directory: str, supervisor: Supervisor) -> None:
    """A report that is accepted soon saves the disk a flush: the database has flushed the end by then."""
    if not supervisor.is_dismissed(_SYNC_SECONDS):
        record.sync(directory)
    if supervisor.is_dismissed(None):
        record.forget(directory)

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
from adapters.process.supervisor.channel import Channel, unix_socket
from adapters.process.supervisor.gear import Gear
from adapters.process.supervisor.launch import Launch
from adapters.process.supervisor.supervise import Supervisor

FREE: Final = b"."
"""What a supervisor tells the zygote when it can take another attempt."""
_DESCRIPTORS: Final = 2
"""With an attempt come its control connection and its launch."""
_ATTEMPTS: Final = 256
"""Then a fresh fork takes its place: nothing piles up in it for ever."""
_SYNC_SECONDS: Final = 0.2
_SCRATCH_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0


def attend(link: socket.socket, home: str | None, place: str, listener: socket.socket) -> NoReturn:
    """Never returns. `home`: the control group in which this process is; `place`: what becomes the directory
    of each attempt (places.py), with the socket in it where its next worker finds this process. Status 0 says
    that no process of any tree is left, any other makes the zygote look.
    """
    status = 1
    try:
        os.setsid()
        kernel.set_name("etl-supervisor")
        status = _attend_all(link, gear.make(home), place, listener)
    except BaseException:  # noqa: BLE001 - this is the top of the process; the worker sees it as lost
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _attend_all(link: socket.socket, own: Gear, place: str, listener: socket.socket) -> int:
    """Until the zygote has gone or lets go, or something could not be killed."""
    for others in reversed(range(_ATTEMPTS)):
        if (received := _received(link)) is None:
            record.forget(place)
            return 0
        control, specification = received
        given = own.placed(launch.read(specification))
        supervisor = Supervisor(given, Channel(control), listener, own)
        if _attend(given, supervisor):
            return 1
        # A thread that hangs on a disk is left behind by the exit; no program is forked beside it.
        goes_on = others and not (supervisor.keeps or own.is_worn) and threading.active_count() == 1
        is_free = _is_forgotten(given.attempt_directory, supervisor, place if goes_on else None)
        if is_free:
            with suppress(OSError):  # the zygote was killed; the next read says so
                link.send(FREE)
        supervisor.let_go()
        if not is_free:
            return 0
    return 0


def _received(link: socket.socket) -> tuple[socket.socket, int] | None:
    try:
        _, descriptors, _, _ = socket.recv_fds(link, 1, _DESCRIPTORS)
    except OSError:
        return None
    if not descriptors:
        return None
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    control, specification = descriptors
    return unix_socket(control), specification


def _attend(given: Launch, supervisor: Supervisor) -> int:
    """From its start until nobody needs it any more; how many processes are left."""
    spare = _Spare(given)
    end = _in_its_places(given, supervisor, spare)
    result = {"job_id": given.job_id, "fence": given.fence, **end}
    if supervisor.keeps:
        keepsake.leave(given.attempt_directory)  # before the end is told, or a sweep might come first
    _keep(given.attempt_directory, result, supervisor)
    # After the record, since a large scratch takes long; before the news, since `wait` promises it gone.
    _remove_scratch(given.work_directory, spare, lambda: supervisor.tell(result))
    left = int(end.get("processes_left", 0))
    if supervisor.keeps:
        record.sync(given.attempt_directory)
        supervisor.outlast(lambda: record.forget(given.attempt_directory))
        keepsake.remove(given.attempt_directory)
        left = 0
    return left


class _Spare:
    """The scratch directory that the attempt before has not touched."""

    def __init__(self, given: Launch) -> None:
        self._given = given
        self._path = os.path.join(given.attempt_directory, launch.SPARE_SCRATCH)
        self._taken = 0

    def take(self) -> None:
        """Raises OSError."""
        if self._given.user is not None:
            scratch.make(self._given.work_directory, self._given.user)
        else:
            self._taken = scratch.take(self._given.work_directory, self._path)

    def is_put_by(self) -> bool:
        return self._taken > 0 and scratch.is_put_by(self._given.work_directory, self._path, self._taken)


def _in_its_places(given: Launch, supervisor: Supervisor, spare: _Spare) -> dict[str, Any]:
    try:
        record.begin(given)
    except OSError as error:
        return {**start_errors.of_the_machine(error.errno or 0)}
    try:
        spare.take()
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


def _remove_scratch(path: str, spare: _Spare, tell: Callable[[], None]) -> None:
    if spare.is_put_by() or scratch.is_removed(path):
        tell()
        return
    removal = threading.Thread(target=scratch.remove, args=(path,))
    removal.start()
    removal.join(_SCRATCH_SECONDS)
    tell()
    removal.join()


def _is_forgotten(directory: str, supervisor: Supervisor, place: str | None) -> bool:
    """Whether it was, and its directory is `place` again, for another attempt. Where no worker has dismissed
    it, this process has to end: a later one must not find it by the directory of that attempt.

    A report that is accepted soon saves the disk a flush: the database has flushed the end by then.
    """
    if not supervisor.is_dismissed(_SYNC_SECONDS):
        record.sync(directory)
    if not supervisor.is_dismissed(None):
        return False
    if place is not None and record.is_vacated(directory, place):
        return True
    record.forget(directory)
    return False

"""The whole of one attempt in the process that the zygote forked for it."""

import os
import socket
import sys
import threading
import time
from typing import Any, Final, NoReturn

from adapters.process.supervisor import kernel, launch, result, scratch, start_errors
from adapters.process.supervisor.channel import Channel
from adapters.process.supervisor.launch import Launch
from adapters.process.supervisor.supervise import Supervisor

_SCRATCH_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0


def attend(specification: int, control: socket.socket, listener: socket.socket) -> NoReturn:
    """Never returns. Status 0 says that no process of the tree is left, any other makes the zygote look."""
    status = 1
    try:
        os.setsid()
        kernel.set_name("etl-supervisor")
        listener.setblocking(False)
        if not _attend(launch.read(specification), Channel(control), listener):
            status = 0
    except BaseException:  # noqa: BLE001 - this is the top of the process; the worker sees it as lost
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _attend(given: Launch, control: Channel, listener: socket.socket) -> int:
    """How many processes are left."""
    supervisor = Supervisor(given, control, listener)
    end = _in_scratch(given, supervisor)
    record = {"job_id": given.job_id, "fence": given.fence, **end}
    _keep(given.attempt_directory, record, supervisor)
    # After the record, since a large scratch takes long; before the news, since `wait` promises it gone.
    if scratch.is_removed(given.work_directory):
        supervisor.tell(record)
        return int(end.get("processes_left", 0))
    removal = threading.Thread(target=scratch.remove, args=(given.work_directory,))
    removal.start()
    removal.join(_SCRATCH_SECONDS)
    supervisor.tell(record)
    removal.join()
    return int(end.get("processes_left", 0))


def _in_scratch(given: Launch, supervisor: Supervisor) -> dict[str, Any]:
    try:
        scratch.make(given.work_directory, given.user)
    except OSError as error:
        why = start_errors.described(error.errno or 0)
        return {"start_error": f"The scratch directory could not be made: {why}."}
    return supervisor.run()


def _keep(directory: str, record: dict[str, Any], supervisor: Supervisor) -> None:
    """Stays until the record is on the disk: while the disk is full, this process is the record.

    A worker that is connected learns it meanwhile. Its `forget` removes the directory, and ends this.
    """
    while os.path.isdir(directory):
        try:
            result.write(directory, record)
        except OSError:
            supervisor.tell(record)
            time.sleep(_RETRY_SECONDS)
        else:
            return

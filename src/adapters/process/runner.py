"""ProcessRunner over supervisors: each attempt has a process of its own that outlives the worker."""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from adapters.process.means import Means, means_of
from adapters.process.orphans import stop_orphans
from adapters.process.run_directory import RunDirectory, name_of
from adapters.process.running import SupervisedProcess
from adapters.process.seats import Seat, abandoned, first_free
from adapters.process.supervisor import kernel
from adapters.process.supervisor.group import V1, V2
from adapters.process.supervisor.start_errors import of_the_machine
from adapters.process.zygote_link import ZygoteLink
from application.ports.process_runner import Launch
from domain.attempt import Exit
from domain.log import LogRef


class SupervisedProcessRunner:
    """ProcessRunner. Several workers may share `run_directory`: each takes a seat in it (seats.py).

    `open` makes this process undumpable, because a program of the same user could otherwise read the
    worker's secrets from /proc. `user`: whom programs run as, for a worker of root. `groups`: the
    kinds of control groups to try.
    """

    def __init__(
        self, run_directory: Path, user: str | None = None, groups: tuple[str, ...] = (V2, V1)
    ) -> None:
        self._given = run_directory
        self._user = user
        self._kinds = groups
        self._means = Means()
        self._zygote: ZygoteLink | None = None
        self._seats: list[Seat] = []
        self._processes: dict[LogRef, SupervisedProcess] = {}

    async def open(self) -> None:
        if self._zygote is not None:
            return
        kernel.set_dumpable(dumpable=False)
        own = await first_free(self._given)
        self._seats.append(own)
        self._means = await asyncio.to_thread(means_of, own.directory.root, self._user, self._kinds)
        self._zygote = ZygoteLink(own.lock, own.directory.errors, self._means.groups)
        self._zygote.start()

    async def close(self) -> None:
        for process in self._processes.values():
            process.let_go()
        self._processes.clear()
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None
        self._means.leave()
        while self._seats:
            self._seats.pop().leave()

    async def start(self, launch: Launch) -> SupervisedProcess:
        directory = self._seats[0].directory
        process = self._known(directory, launch.ref, launch)
        await self._start(directory, process, launch)
        return process

    async def adopt(self) -> Sequence[SupervisedProcess]:
        self._seats += await abandoned(self._given)
        processes: list[SupervisedProcess] = []
        for seat in self._seats:
            processes += await self._adopt_in(seat.directory)
        return processes

    async def _adopt_in(self, directory: RunDirectory) -> list[SupervisedProcess]:
        processes = []
        for ref, control in await asyncio.to_thread(self._find, directory):
            process = self._known(directory, ref)
            processes.append(process)
            if control is not None:
                process.follow(control)
            else:
                await self._learn(directory, None, process)
        await asyncio.to_thread(directory.tidy)
        return processes

    # -- one attempt ---------------------------------------------------------------------------------

    def _known(self, directory: RunDirectory, ref: LogRef, launch: Launch | None = None) -> SupervisedProcess:
        learn, forget = partial(self._learn, directory, launch), partial(self._forget, directory)
        process = self._processes[ref] = SupervisedProcess(ref, learn, forget)
        return process

    async def _start(self, directory: RunDirectory, process: SupervisedProcess, launch: Launch) -> None:
        try:
            process.follow(await self._supervised(directory, launch))
        except OSError as error:
            process.end(Exit(**of_the_machine(error.errno or 0)))

    async def _supervised(self, directory: RunDirectory, launch: Launch) -> socket.socket:
        """The connection to the supervisor that the zygote will give it."""
        specification = directory.specify(launch, self._means)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                name, place = name_of(launch.ref), directory.of(launch.ref)
                await self._open_zygote().supervise(name, place, theirs.fileno(), specification)
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(specification)
        return ours

    async def _learn(
        self, directory: RunDirectory, launch: Launch | None, process: SupervisedProcess
    ) -> None:
        """The end of an attempt whose connection ended without telling it.

        Where no supervisor has begun it, zygote or supervisor was killed before that: nobody else can
        begin it any more, so it is started again.
        """
        ref = process.ref
        exit_ = await asyncio.to_thread(directory.result, ref)
        if exit_ is None and (control := _connect(directory, ref)) is not None:
            process.follow(control)
        elif exit_ is None and launch is not None and not directory.has_begun(ref):
            await asyncio.to_thread(directory.forget, ref)
            await self._start(directory, process, launch)
        else:
            process.end(exit_ or await self._bury(directory, ref))

    async def _bury(self, directory: RunDirectory, ref: LogRef) -> Exit:
        """Its supervisor is dead: first the zygote kills what fell to it, then the tag finds the rest."""
        await self._open_zygote().settled(name_of(ref))
        left = await asyncio.to_thread(directory.clear_group, ref)
        left += await asyncio.to_thread(stop_orphans, directory.work, name_of(ref).__eq__)
        await asyncio.to_thread(directory.remove_scratch, ref)
        return directory.result(ref) or directory.lost(ref, left)

    async def _forget(self, directory: RunDirectory, process: SupervisedProcess) -> None:
        """By its supervisor, which has all at hand, or here where that is dead or does not answer."""
        self._processes.pop(process.ref, None)
        if not await process.dismissed():
            await asyncio.to_thread(directory.forget, process.ref)
        process.let_go()

    # -- what an earlier life left -------------------------------------------------------------------

    def _find(self, directory: RunDirectory) -> list[tuple[LogRef, socket.socket | None]]:
        refs = [ref for ref in directory.attempts() if ref not in self._processes]
        found = [(ref, _connect(directory, ref)) for ref in refs]
        dead = {name_of(ref) for ref, control in found if control is None}
        for ref, control in found:
            if control is None:
                directory.clear_group(ref)
        stop_orphans(directory.work, lambda name: name in dead or not directory.knows(name))
        return found

    def _open_zygote(self) -> ZygoteLink:
        if self._zygote is None:
            raise RuntimeError("The process runner is not open.")
        return self._zygote


def _connect(directory: RunDirectory, ref: LogRef) -> socket.socket | None:
    """None where nobody listens, which is where the supervisor is dead."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(OSError):
        descriptor = os.open(directory.of(ref), os.O_RDONLY | os.O_DIRECTORY)
        try:
            control.connect(_short(descriptor, directory.control_of(ref)))
        finally:
            os.close(descriptor)
        return control
    control.close()
    return None


def _short(directory: int, path: Path) -> str:
    """A socket's path may have 107 bytes only (unix(7)); the way through the descriptor always fits."""
    return f"/proc/self/fd/{directory}/{path.name}" if kernel.LINUX else str(path)

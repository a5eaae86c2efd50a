"""ProcessRunner over supervisors: each attempt has a process of its own that outlives the worker."""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from adapters.process.orphans import stop_orphans
from adapters.process.run_directory import RunDirectory, name_of
from adapters.process.running import SupervisedProcess
from adapters.process.supervisor import kernel
from adapters.process.supervisor.start_errors import of_the_machine
from adapters.process.zygote_link import ZygoteLink
from application.ports.process_runner import Launch
from domain.attempt import Exit
from domain.errors import Unavailable
from domain.log import LogRef

_LOCK_SECONDS: Final = 10.0
_LOCK_PAUSE: Final = 0.02


class SupervisedProcessRunner:
    """ProcessRunner. One a run directory: a second worker on the same one is refused by `open`.

    `open` makes this process undumpable, because a program of the same user could otherwise read the
    worker's secrets from /proc.
    """

    def __init__(self, run_directory: Path) -> None:
        self._given = run_directory
        self._zygote: ZygoteLink | None = None
        self._lock = -1
        self._processes: dict[LogRef, SupervisedProcess] = {}

    async def open(self) -> None:
        """Raises Unavailable where another worker keeps the run directory."""
        if self._zygote is not None:
            return
        self._directory = RunDirectory(self._given)
        self._directory.make()
        kernel.set_dumpable(dumpable=False)
        self._lock = await self._locked()
        self._zygote = ZygoteLink(self._lock, self._directory.errors)
        self._zygote.start()

    async def close(self) -> None:
        for process in self._processes.values():
            process.let_go()
        self._processes.clear()
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None
            os.close(self._lock)

    async def start(self, launch: Launch) -> SupervisedProcess:
        process = self._known(launch.ref)
        try:
            await self._start(process, launch)
        except OSError as error:
            process.end(Exit(start_error=of_the_machine(error.errno or 0)))
        return process

    async def adopt(self) -> Sequence[SupervisedProcess]:
        found = await asyncio.to_thread(self._find)
        processes = []
        for ref, control in found:
            process = self._known(ref)
            processes.append(process)
            if control is not None:
                process.follow(control)
            else:
                await self._learn(process)
        await asyncio.to_thread(self._directory.tidy)
        return processes

    # -- one attempt ---------------------------------------------------------------------------------

    def _known(self, ref: LogRef) -> SupervisedProcess:
        process = self._processes[ref] = SupervisedProcess(ref, self._learn, self._forget)
        return process

    async def _start(self, process: SupervisedProcess, launch: Launch) -> None:
        specification = await asyncio.to_thread(self._directory.prepare, launch)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                directory = self._directory.of(launch.ref)
                await self._open_zygote().fork(name_of(launch.ref), directory, theirs.fileno(), specification)
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(specification)
        process.follow(ours)

    async def _learn(self, process: SupervisedProcess) -> None:
        """The end of an attempt whose connection ended without telling it."""
        ref = process.ref
        exit_ = await asyncio.to_thread(self._directory.result, ref)
        if exit_ is None and (control := self._connect(ref)) is not None:
            process.follow(control)
            return
        process.end(exit_ or await self._bury(ref))

    async def _bury(self, ref: LogRef) -> Exit:
        """Its supervisor is dead: first the zygote kills what fell to it, then the tag finds the rest."""
        await self._open_zygote().settled(name_of(ref))
        left = await asyncio.to_thread(stop_orphans, self._directory.work, name_of(ref).__eq__)
        await asyncio.to_thread(self._directory.remove_scratch, ref)
        return self._directory.result(ref) or self._directory.lost(ref, left)

    async def _forget(self, process: SupervisedProcess) -> None:
        self._processes.pop(process.ref, None)
        process.let_go()
        await asyncio.to_thread(self._directory.forget, process.ref)

    # -- what an earlier life left -------------------------------------------------------------------

    def _find(self) -> list[tuple[LogRef, socket.socket | None]]:
        refs = [ref for ref in self._directory.attempts() if ref not in self._processes]
        found = [(ref, self._connect(ref)) for ref in refs]
        dead = {name_of(ref) for ref, control in found if control is None}
        stop_orphans(
            self._directory.work,
            lambda name: name in dead or not (self._directory.root / name).exists(),
        )
        return found

    def _connect(self, ref: LogRef) -> socket.socket | None:
        """None where nobody listens, which is where the supervisor is dead."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with suppress(OSError):
            directory = os.open(self._directory.of(ref), os.O_RDONLY | os.O_DIRECTORY)
            try:
                control.connect(_short(directory, self._directory.control_of(ref)))
            finally:
                os.close(directory)
            return control
        control.close()
        return None

    # -- the run directory ---------------------------------------------------------------------------

    def _open_zygote(self) -> ZygoteLink:
        if self._zygote is None:
            raise RuntimeError("The process runner is not open.")
        return self._zygote

    async def _locked(self) -> int:
        """An earlier worker's zygote holds the lock until it has seen that its worker is gone."""
        until = asyncio.get_running_loop().time() + _LOCK_SECONDS
        while (lock := self._directory.lock()) is None:
            if asyncio.get_running_loop().time() > until:
                raise Unavailable("Another worker process uses the same run directory.")
            await asyncio.sleep(_LOCK_PAUSE)
        return lock


def _short(directory: int, path: Path) -> str:
    """A socket's path may have 107 bytes only (unix(7)); the way through the descriptor always fits."""
    return f"/proc/self/fd/{directory}/{path.name}" if kernel.LINUX else str(path)

"""Programs that end when a test says how."""

import asyncio
from collections.abc import Sequence

from application.ports.process_runner import Launch
from domain.attempt import Exit, Stop
from domain.log import LogRef


class FakeProcess:
    """RunningProcess. It ends by `end`; a stop ends it as such unless `ignores_stop`."""

    def __init__(self, ref: LogRef, *, ignores_stop: bool = False) -> None:
        self.ref = ref
        self.stops = 0
        self.deadlines: list[float] = []
        self.forgotten = False
        self._ignores_stop = ignores_stop
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def end(self, exit_: Exit) -> None:
        if not self._exit.done():
            self._exit.set_result(exit_)

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exit)

    def stop(self, why: Stop = Stop.CANCEL) -> None:
        self.stops += 1
        if not self._ignores_stop:
            self.end(Exit(signal_number=15, stopped=why))

    def extend(self, deadline: float) -> None:
        self.deadlines.append(deadline)

    async def forget(self) -> None:
        self.forgotten = True


class FakeProcessRunner:
    """ProcessRunner. `exit` is how every program ends at once; None: when its process is told to."""

    def __init__(self, exit_: Exit | None = None) -> None:
        self.exit = exit_
        self.launches: list[Launch] = []
        self.processes: list[FakeProcess] = []
        self.started = asyncio.Event()

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def start(self, launch: Launch) -> FakeProcess:
        process = FakeProcess(launch.ref)
        if self.exit is not None:
            process.end(self.exit)
        self.launches.append(launch)
        self.processes.append(process)
        self.started.set()
        return process

    async def adopt(self) -> Sequence[FakeProcess]:
        return tuple(process for process in self.processes if not process.forgotten)

"""ProcessRunner without processes: programs are coroutines, known by the path in `argv[0]`."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from application.ports.clock import Clock
from application.ports.process_runner import Launch
from domain.attempt import Exit, Stop, Usage
from domain.log import LogRef

Program = Callable[[Launch], Awaitable[int]]
"""Returns its exit status. SIGTERM is a cancellation, SIGKILL after the grace is a second one."""
_LOOK_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True)
class Machine:
    """What outlives a worker: the programs there are, and the attempts nobody has forgotten."""

    programs: Mapping[str, Program]
    attempts: dict[LogRef, "MemoryProcess"] = field(default_factory=dict)


class MemoryProcess:
    """RunningProcess. Looks at the clock every two milliseconds, so that tests may move it."""

    def __init__(self, launch: Launch, program: Program | None, machine: Machine, clock: Clock) -> None:
        self.launch = launch
        self._machine = machine
        self._clock = clock
        self._deadline = launch.deadline
        self._stopped: Stop | None = None
        self._kill_at = float("inf")
        self._started = clock.elapsed()
        self._end: asyncio.Future[Exit] = asyncio.ensure_future(self._run(program))

    @property
    def ref(self) -> LogRef:
        return self.launch.ref

    async def wait(self) -> Exit:
        return await asyncio.shield(self._end)

    def stop(self, why: Stop = Stop.CANCEL) -> None:
        self._stop(why, self.launch.stop_grace_seconds)

    def extend(self, deadline: float) -> None:
        self._deadline = deadline

    async def forget(self) -> None:
        self._machine.attempts.pop(self.ref, None)

    async def _run(self, program: Program | None) -> Exit:
        if program is None:
            return Exit(start_error=f"The program {self.launch.argv[0]} does not exist.")
        if self._started >= self._deadline:
            return Exit(lost="Its lease had expired before the program could be started.")
        self._main: asyncio.Future[int] = asyncio.ensure_future(program(self.launch))
        while not self._main.done() and self._clock.elapsed() < self._kill_at:
            self._look()
            await asyncio.wait([self._main], timeout=_LOOK_SECONDS)
        wall = self._clock.elapsed() - self._started
        exit_code, signal_number = self._ending()
        return Exit(
            exit_code=exit_code,
            signal_number=signal_number,
            stopped=self._stopped,
            usage=Usage(wall_seconds=wall, cpu_seconds=0.0, max_rss_bytes=0),
            containment="memory",
            limits={
                name: "none" for name, limit in asdict(self.launch.resources).items() if limit is not None
            },
        )

    def _look(self) -> None:
        now = self._clock.elapsed()
        if now >= self._deadline:
            self._stop(Stop.LEASE, 0.0)
            self._kill_at = now
        elif now >= self._started + self.launch.timeout_seconds:
            self._stop(Stop.TIMEOUT, self.launch.stop_grace_seconds)

    def _stop(self, reason: Stop, grace_seconds: float) -> None:
        if self._stopped is None and not self._end.done():
            self._stopped = reason
            self._kill_at = self._clock.elapsed() + grace_seconds
            self._main.cancel()

    def _ending(self) -> tuple[int | None, int | None]:
        if not self._main.done():
            self._main.cancel()
            return None, signal.SIGKILL
        if self._main.cancelled():
            return None, signal.SIGTERM
        return self._main.result(), None


class MemoryProcessRunner:
    """ProcessRunner. Two of them on one Machine are two lives of one worker."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock
        self._known: set[LogRef] = set()

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        self._known.clear()

    async def start(self, launch: Launch) -> MemoryProcess:
        program = self._machine.programs.get(launch.argv[0])
        process = MemoryProcess(launch, program, self._machine, self._clock)
        self._machine.attempts[launch.ref] = process
        self._known.add(launch.ref)
        await asyncio.sleep(0)  # the program runs from here on, so it can be stopped
        return process

    async def adopt(self) -> Sequence[MemoryProcess]:
        found = [p for ref, p in self._machine.attempts.items() if ref not in self._known]
        self._known.update(process.ref for process in found)
        return found

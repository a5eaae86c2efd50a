"""One running attempt: its timers, its control connections, its end."""

import signal
import socket
from collections.abc import Callable
from typing import Any, Final

from adapters.process.supervisor import kernel, program, spawn, start_errors, tree, verdict
from adapters.process.supervisor.channel import Channel
from adapters.process.supervisor.descendants import Descendants
from adapters.process.supervisor.enforcement import Enforcement
from adapters.process.supervisor.gear import Gear
from adapters.process.supervisor.launch import Launch
from adapters.process.supervisor.pump import Pump

LINGER_NS: Final = 1_000_000_000
"""What processes get that outlive their main one, before they are stopped and counted."""
KILL_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 5.0
_LONGEST_WAIT_NS: Final = 1_000_000_000  # poll(2) does not count suspended time, the deadline does
_FIRST_MEASURE_NS: Final = 250_000_000
_MEASURE_NS: Final = 2_000_000_000
_MEASURE_COST: Final = 200  # a scan of /proc may take 1/200 of one processor
_POLL_NS: Final = 100_000_000
_POLL_COST: Final = 20  # of a tree with limits: 1/20
_NEVER: Final = 1 << 62
_IDLE_NS: Final = 60_000_000_000
FUSE_NS: Final = 200_000_000
"""Past the deadline by so much, this process is stopped or starved: the kernel ends it, and its end the
program's (PDEATHSIG). It must be less than LeaseTerms.margin_seconds, which is 0.5 s or more.
"""


class Supervisor:
    """Starts the program and stays until no process of its tree is alive.

    It does not end with its worker: an end of the control connection says nothing. Who comes later
    connects to the listening socket. Only the deadline, the timeout and `stop` end a tree early.
    """

    def __init__(self, launch: Launch, control: Channel, listener: socket.socket, own: Gear) -> None:
        self._launch = launch
        self._listener = listener
        self._connections: dict[int, Channel] = {}
        self._own = own
        self._ears = own.ears
        self._told: dict[str, Any] | None = None
        self._dismissed = False
        self._tree = Descendants()
        self._stopped: str | None = None
        self._kept: list[str] = []
        self._deadline = launch.deadline_ns
        self._fuse = own.fuse
        self._kill_at = _NEVER
        self._measure_at = _NEVER
        self._ears.on(listener.fileno(), lambda _: self._accept())
        self._connect(control)

    def run(self) -> dict[str, Any]:
        """The fields of domain.attempt.Exit."""
        containment = "subreaper" if self._own.reaps else "best_effort"
        if kernel.elapsed_ns() >= self._deadline:
            return {**verdict.TOO_LATE, "containment": containment}
        if (group := self._own.group_of(self._launch)) is not None and (kind := group.make()) is not None:
            self._tree.group, containment = group, kind
        elif self._launch.group is not None:
            self._launch = self._launch._replace(group=None)
        self._limits = Enforcement(self._launch, self._own.memory)
        if self._launch.memory_group != self._limits.memory_group:
            self._launch = self._launch._replace(memory_group=self._limits.memory_group)
        return {**self._run(), "containment": containment, "limits": self._limits.how}

    @property
    def keeps(self) -> bool:
        """Whether something of its tree lives on, as it was asked for."""
        return bool(self._kept)

    def tell(self, record: dict[str, Any]) -> None:
        """To everybody who is connected, waits to be, or will be."""
        self._accept()
        self._told = record
        for channel in self._connections.values():
            channel.send({"exit": record})

    @property
    def is_followed(self) -> bool:
        """Whether a worker is connected."""
        return bool(self._connections)

    def is_dismissed(self, seconds: float | None) -> bool:
        """Whether a worker has said, within that time, that the attempt may be forgotten; at once False
        where none is connected.
        """
        until = _NEVER if seconds is None else kernel.elapsed_ns() + int(seconds * 1e9)
        while self._connections and not self._dismissed and (now := kernel.elapsed_ns()) < until:
            self._ears.listen(min(until - now, _LONGEST_WAIT_NS))
        return self._dismissed

    def outlast(self, forget: Callable[[], None]) -> None:
        """Until what was kept has ended: their parent and reaper now, and no more. A worker that comes
        meanwhile is told the end; `forget` is done once one has dismissed the attempt.
        """
        is_over = False
        while not self._tree.empty:
            if self._dismissed and not is_over:
                is_over = True
                forget()
                self.let_go()
            self._ears.listen(_IDLE_NS)
            self._tree.reap()
        self._leave_the_group()

    def let_go(self) -> None:
        """Says that what was dismissed is forgotten, and hangs up on all who came. May be called again."""
        self._accept()
        for descriptor, channel in self._connections.items():
            if self._dismissed:
                channel.send({"forgotten": True})
            self._ears.off(descriptor)
            channel.close()
        self._connections.clear()
        self._ears.off(self._listener.fileno())

    # -- the life of the tree ----------------------------------------------------------------------

    def _run(self) -> dict[str, Any]:
        launch = self._launch
        pump = Pump(launch.log, launch.index_file, launch.log_max_bytes, launch.secrets, keep=launch.keep)
        self._pump = pump
        self._started = kernel.elapsed_ns()
        self._fuse.burn_until(self._deadline + FUSE_NS)
        try:
            self._tree.main, told = self._start(pump.stdout[1], pump.stderr[1])
        except start_errors.NotStarted as failed:
            self._fuse.burn_until(0)
            pump.abandon()
            self._leave_the_group()
            return {**start_errors.of_the_program(self._launch.argv[0], failed.step, failed.number)}
        pump.start(self._ears)
        self._ended = 0
        self._timeout_at = self._started + self._launch.timeout_ns
        self._measure_at = self._started + _FIRST_MEASURE_NS if kernel.LINUX else _NEVER
        self._poll_at = self._started + _POLL_NS if self._limits.needs_looks else _NEVER
        self._watch()
        return self._conclude(told)

    def _start(self, stdout: int, stderr: int) -> tuple[int, int | None]:
        """The pid, and the error pipe, if it needs one. Raises NotStarted."""
        leash = self._own.leash if self._own.spawns(self._launch) else None
        with self._own.score.raised():
            if leash is not None:
                return spawn.start(self._launch, stdout, stderr, leash), None
            return program.start(self._launch, stdout, stderr)

    def _watch(self) -> None:
        """Until the tree is empty, or it is time to kill what is left of it."""
        while True:
            self._reap()
            now = kernel.elapsed_ns()
            self._check(now)
            if self._tree.empty or now >= self._kill_at:
                return
            self._wait(now)

    def _reap(self) -> None:
        self._tree.reap()
        if self._tree.main_status is not None and not self._ended:
            self._ended = kernel.elapsed_ns()
            if self._stopped is None:
                self._kill_at = self._ended + LINGER_NS

    def _check(self, now: int) -> None:
        if now >= self._deadline:
            # Past it somebody else may start the job, so there is no grace.
            self._stop("lease", grace_ns=0)
            self._kill_at = min(self._kill_at, now)
        elif now >= self._timeout_at:
            self._stop("timeout", self._launch.grace_ns)
        if now >= self._measure_at:
            self._pump.begin()  # so that a follower can wait for news of the log of a program that is silent
            self._tree.measure()
            cost = kernel.elapsed_ns() - now
            self._measure_at = now + max(_MEASURE_NS, cost * _MEASURE_COST)
        if now >= self._poll_at:
            self._enforce(now)

    def _enforce(self, now: int) -> None:
        """Memory and processes would only grow during a grace; processor time hurts nobody so soon."""
        if (reason := self._limits.passed(self._tree)) is not None:
            self._stop(reason, self._launch.grace_ns if reason == "cpu" else 0)
        cost = kernel.elapsed_ns() - now
        self._poll_at = now + max(_POLL_NS, cost * _POLL_COST)

    def _stop(self, reason: str, grace_ns: int) -> None:
        """SIGTERM to the whole tree, once. A program that has ended by itself was not stopped."""
        self._reap()
        if self._stopped is not None:
            return
        if self._ended:
            if reason in ("cancel", "worker"):
                self._kill_at = 0
            return
        self._stopped = reason
        self._kill_at = kernel.elapsed_ns() + grace_ns
        if grace_ns:
            # A stopped process takes the SIGTERM only once it continues.
            self._tree.signal(signal.SIGTERM, signal.SIGCONT)

    def _wait(self, now: int) -> None:
        until = min(now + _LONGEST_WAIT_NS, self._kill_at, self._deadline, self._measure_at, self._poll_at)
        if self._stopped is None and not self._ended:
            until = min(until, self._timeout_at)
        self._ears.listen(max(0, until - now))

    # -- the worker's side -------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connect(Channel(connection))

    def _connect(self, channel: Channel) -> None:
        descriptor = channel.fileno()
        self._connections[descriptor] = channel
        self._ears.on(descriptor, lambda _: self._obey(descriptor))
        if self._told is not None:
            channel.send({"exit": self._told})

    def _obey(self, descriptor: int) -> None:
        messages = self._connections[descriptor].receive()
        if messages is None:  # the worker is gone or lets go; the program goes on
            self._ears.off(descriptor)
            self._connections.pop(descriptor).close()
            return
        for message in messages:
            if "forget" in message:
                self._dismissed = True
            elif self._told is not None:  # said before the end was heard
                continue
            elif "deadline_ns" in message:
                self._deadline = message["deadline_ns"]
                self._fuse.burn_until(self._deadline + FUSE_NS)
            elif "stop" in message:
                self._stop(message["stop"], self._launch.grace_ns)

    # -- the end -----------------------------------------------------------------------------------

    def _conclude(self, told: int | None) -> dict[str, Any]:
        self._fuse.burn_until(0)
        kills = self._limits.oom_kills
        if self._stopped is None and self._limits.memory_is_passed:
            self._stopped = "memory"  # nobody had looked again before it ended
        behind = self._tree.alive() if self._ended and not self._tree.empty else []
        if behind and self._launch.keep and self._stopped is None and self._tree.main_status == 0:
            self._kept = tree.names(behind)
            left = len(behind)
            self._pump.part(DRAIN_SECONDS)
        else:
            left = self._kill()
            self._pump.finish(DRAIN_SECONDS)
        return {
            **verdict.of(self._launch, self._tree.main_status, told, self._stopped, kills),
            "usage": {
                "wall_seconds": ((self._ended or kernel.elapsed_ns()) - self._started) / 1e9,
                "cpu_seconds": self._tree.cpu_seconds,
                "max_rss_bytes": self._tree.max_rss_bytes,
            },
            "oom_kills": kills,
            "processes_left": left,
            "left_behind": len(behind),
            "kept": self._kept,
            "log_bytes": self._pump.log_bytes,
            "log_lost_bytes": self._pump.lost_bytes,
        }

    def _kill(self) -> int:
        """How many are left."""
        left = self._tree.kill(KILL_SECONDS)
        self._reap()
        return max(left, self._leave_the_group())

    def _leave_the_group(self) -> int:
        """How many are left in it."""
        left = self._tree.group.clear() if self._tree.group is not None else 0
        self._limits.end()
        return left

"""Which duties maintenance has: the leader's, every machine's, and those that may take long."""

from collections.abc import Sequence

from application.compress_logs import CompressLogs
from application.expire_jobs import ExpireJobs
from application.manage_workers import ForgetDeadWorkers
from application.ports.clock import Clock
from application.ports.job_history import JobHistory
from application.ports.job_queue import JobQueue
from application.ports.log_upkeep import LogUpkeep
from application.ports.meters import Meters
from application.ports.notifier import Notifier
from application.ports.rate_limits import RateLimits
from application.ports.worker_registry import WorkerRegistry
from application.prune_history import BATCH, LimitLogs, PruneJobs, PruneLogs
from application.rescue_lost import RescueLost
from entrypoints.settings import Settings
from entrypoints.worker.maintenance import Duty


def of_the_leader(
    settings: Settings,
    *,
    queue: JobQueue,
    history: JobHistory,
    workers: WorkerRegistry,
    upkeep: LogUpkeep,
    notifier: Notifier,
    clock: Clock,
    meters: Meters,
    rates: RateLimits,
) -> Sequence[Duty]:
    return (
        Duty("rescue", 1.0, RescueLost(queue, notifier, meters)),
        Duty("expire", 1.0, ExpireJobs(queue, notifier)),
        Duty("promote", 5.0, queue.promote),
        Duty("prune", 60.0, PruneJobs(history, upkeep, clock, settings.retention.jobs), BATCH),
        Duty("forget_rates", 60.0, rates.forget),
        Duty("forget_dead_workers", 3600.0, ForgetDeadWorkers(workers)),
    )


def of_every_machine(settings: Settings, upkeep: LogUpkeep, clock: Clock) -> Sequence[Duty]:
    return (
        Duty("prune_logs", 60.0, PruneLogs(upkeep, clock, settings.retention.logs), BATCH),
        Duty("limit_logs", 300.0, LimitLogs(upkeep, settings.retention.logs_size)),
    )


def of_long_breath(settings: Settings, upkeep: LogUpkeep, clock: Clock) -> Sequence[Duty]:
    """Apart from the rest: retention must not wait for gigabytes to be compressed."""
    return (Duty("compress_logs", 60.0, CompressLogs(upkeep, clock, settings.logs.compress_after)),)

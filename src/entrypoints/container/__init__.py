"""Where every port meets its adapter. The only package that names adapters, and the
only file that knows dependency-injector.

Constructors never connect: the lifespan opens and closes. Each port's provider is annotated, so
mypy proves that the adapter fits. Tests swap a part by constructor: `Container(queue=…)`.
"""

from functools import partial
from typing import Final

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import Callable, Dependency, Provider, Singleton

from adapters.filesystem.log_store import FilesystemLogStore
from adapters.filesystem.log_upkeep import FilesystemLogUpkeep
from adapters.filesystem.script_catalog import FilesystemScriptCatalog
from adapters.postgres.access_store import PostgresAccessStore
from adapters.postgres.engine import Database
from adapters.postgres.job_history import PostgresJobHistory
from adapters.postgres.job_queue import PostgresJobQueue
from adapters.postgres.leadership import PostgresLeadership
from adapters.postgres.notifier import PostgresNotifier
from adapters.postgres.rate_limits import PostgresRateLimits
from adapters.postgres.worker_registry import PostgresWorkerRegistry
from adapters.process.runner import SupervisedProcessRunner
from adapters.prometheus.meters import PrometheusMeters
from adapters.system.clock import SystemChance, SystemClock
from application.authenticate import Authenticate
from application.cancel_job import CancelJob
from application.check_health import CheckHealth
from application.claim_jobs import ClaimJobs
from application.follow_log import FollowLog
from application.held_attempts import HeldAttempts
from application.job_reads import JobReads
from application.keep_session import AdoptAttempts, BeginSession, RenewSession
from application.log_pages import LogPages
from application.manage_keys import IssueKey, ListKeys, RevokeKey
from application.manage_queues import LimitQueue, ListQueues, PauseQueue, ResumeQueue
from application.manage_workers import DrainWorker, ListWorkers
from application.ports.access_store import AccessStore
from application.ports.clock import Chance, Clock
from application.ports.disk_space import DiskSpace
from application.ports.job_history import JobHistory
from application.ports.job_queue import JobQueue
from application.ports.leadership import Leadership
from application.ports.log_store import LogStore
from application.ports.log_upkeep import LogUpkeep
from application.ports.process_runner import ProcessRunner
from application.ports.rate_limits import RateLimits
from application.ports.script_catalog import ScriptCatalog
from application.ports.token_verifier import TokenVerifier
from application.ports.tracer import Tracer
from application.ports.worker_registry import WorkerRegistry
from application.read_jobs import AwaitJob, ExplainJob, FindJobs, ListAttempts, ListEvents, ListJobs, ReadJob
from application.read_log import FindLog, ReadLogBytes, ReadLogLines
from application.read_metrics import ReadMetrics
from application.require_disk_space import RequireDiskSpace
from application.retry_job import RetryJob
from application.run_attempt import Reports, RunAttempt
from application.settle_unknown import SettleUnknown
from application.submit_jobs import SubmitBatch, SubmitJobs
from application.trace_attempt import TraceAttempt
from entrypoints import from_settings
from entrypoints.container.database import horizon_holder
from entrypoints.container.machine import disk_space, ready_checks, run_directory
from entrypoints.container.outlets import tracer_of
from entrypoints.container.tokens import verifier_of
from entrypoints.exposition import Exposition
from entrypoints.gauges import gauges_of
from entrypoints.http.app import create_app, create_watch_app
from entrypoints.http.server import HttpServer
from entrypoints.http.use_cases import UseCases, only_this_process
from entrypoints.settings import Settings
from entrypoints.telemetry import Outage
from entrypoints.worker import duties
from entrypoints.worker.loop import WorkerLoop, WorkerParts
from entrypoints.worker.maintenance import Maintenance

MAINTENANCE_TICK_SECONDS: Final = 5.0


class Container(DeclarativeContainer):
    """One installation's objects, made once each, in the order of reading: world, ports, verbs, loops."""

    settings: Provider[Settings] = Dependency(instance_of=Settings)
    database_url: Provider[str] = Dependency(instance_of=str)

    # -- ports -----------------------------------------------------------------------------------

    clock: Provider[Clock] = Singleton(SystemClock)
    chance: Provider[Chance] = Singleton(SystemChance)
    database: Provider[Database] = Singleton(
        Database, database_url, pool_size=settings.provided.database.pool
    )
    queue: Provider[JobQueue] = Singleton(PostgresJobQueue, database, chance)
    history: Provider[JobHistory] = Singleton(PostgresJobHistory, database)
    workers: Provider[WorkerRegistry] = Singleton(PostgresWorkerRegistry, database)
    access: Provider[AccessStore] = Singleton(PostgresAccessStore, database)
    tokens: Provider[TokenVerifier | None] = Callable(
        verifier_of, settings.provided.http_jwt, clock, Singleton(Outage, "tokens", "token_keys")
    )
    rate_limits: Provider[RateLimits] = Singleton(PostgresRateLimits, database)
    notifier: Provider[PostgresNotifier] = Singleton(PostgresNotifier, database_url)
    leadership: Provider[Leadership] = Singleton(PostgresLeadership, database_url)
    logs: Provider[LogStore] = Singleton(FilesystemLogStore, settings.provided.logs_directory)
    log_upkeep: Provider[LogUpkeep] = Singleton(FilesystemLogUpkeep, settings.provided.logs_directory)
    scripts: Provider[ScriptCatalog] = Singleton(
        FilesystemScriptCatalog,
        settings.provided.scripts.directory,
        Callable(str, settings.provided.scripts.python),
    )
    disk: Provider[DiskSpace] = Singleton(disk_space, settings)
    runner: Provider[ProcessRunner] = Singleton(
        SupervisedProcessRunner, Callable(run_directory, settings), settings.provided.process.user
    )
    held = Singleton(HeldAttempts, settings.provided.worker.slots, settings.provided.lease_terms)
    meters: Provider[PrometheusMeters] = Singleton(
        PrometheusMeters, Callable(gauges_of, database.provided.pools, held, clock)
    )

    tracer: Provider[Tracer] = Singleton(tracer_of)

    # -- what callers do ---------------------------------------------------------------------------

    submit = Singleton(
        SubmitJobs,
        queue,
        scripts,
        notifier,
        clock,
        chance,
        meters,
        Singleton(from_settings.submit_rules, settings),
    )
    require_disk_space = Singleton(RequireDiskSpace, disk, settings.provided.retention.disk_floor)
    log_pages = Singleton(LogPages, logs)
    health = Singleton(
        CheckHealth, Callable(ready_checks, settings, database, require_disk_space, held, clock)
    )
    use_cases: Provider[UseCases] = Singleton(
        UseCases,
        authenticate=Singleton(Authenticate, access, clock, tokens),
        submit_jobs=submit,
        submit_batch=Singleton(SubmitBatch, submit),
        cancel_job=Singleton(CancelJob, queue, notifier, clock),
        retry_job=Singleton(RetryJob, queue, history, notifier, clock, chance, meters),
        read_job=Singleton(ReadJob, history),
        explain_job=Singleton(ExplainJob, history, clock),
        await_job=Singleton(AwaitJob, history, notifier, clock),
        list_jobs=Singleton(ListJobs, history),
        find_jobs=Singleton(FindJobs, history),
        list_attempts=Singleton(ListAttempts, history),
        list_events=Singleton(ListEvents, history),
        find_log=Singleton(FindLog, history),
        read_log_bytes=Singleton(ReadLogBytes, logs),
        read_log_lines=Singleton(ReadLogLines, logs),
        follow_log=Singleton(FollowLog, Singleton(JobReads, history), log_pages, logs, notifier),
        list_queues=Singleton(ListQueues, queue),
        pause_queue=Singleton(PauseQueue, queue),
        resume_queue=Singleton(ResumeQueue, queue, notifier),
        limit_queue=Singleton(LimitQueue, queue, notifier),
        list_workers=Singleton(ListWorkers, workers),
        drain_worker=Singleton(DrainWorker, workers),
        issue_key=Singleton(IssueKey, access, clock, chance),
        list_keys=Singleton(ListKeys, access),
        revoke_key=Singleton(RevokeKey, access, clock),
        check_health=health,
        exposition=Singleton(
            Exposition,
            meters.provided.registry,
            Singleton(ReadMetrics, queue, workers, Callable(partial, horizon_holder, database)),
            disk,
            settings.provided.retention.disk_floor,
        ),
        limits=Singleton(from_settings.request_limits, settings, rate_limits, clock),
    )

    http_server: Provider[HttpServer] = Singleton(
        HttpServer,
        Singleton(create_app, use_cases, Callable(from_settings.http_config, settings), meters, tracer),
        settings.provided.http.host,
        settings.provided.http.port,
    )
    watch_server: Provider[HttpServer] = Singleton(
        HttpServer,
        Singleton(
            create_watch_app,
            Callable(only_this_process, use_cases),
            Callable(from_settings.watch_config, settings),
            meters,
            tracer,
        ),
        settings.provided.worker.http_host,
        settings.provided.worker.http_port,
    )

    # -- what a worker does --------------------------------------------------------------------------

    begin = Singleton(
        BeginSession, workers, clock, chance, held, Singleton(from_settings.this_worker, settings)
    )
    adopt = Singleton(AdoptAttempts, queue, held)
    trace = Singleton(TraceAttempt, tracer)
    run = Singleton(
        RunAttempt,
        queue=queue,
        reports=Singleton(Reports, queue),
        runner=runner,
        logs=logs,
        scripts=scripts,
        notifier=notifier,
        clock=clock,
        meters=meters,
        trace=trace,
        held=held,
        environment=Callable(from_settings.passed_environment, settings),
        log_max_bytes=settings.provided.logs.max_size,
        secrets=Callable(from_settings.secrets_of, settings),
    )
    worker: Provider[WorkerLoop] = Singleton(
        WorkerLoop,
        Singleton(
            WorkerParts,
            runner=runner,
            workers=workers,
            notifier=notifier,
            held=held,
            begin=begin,
            adopt=adopt,
            renew=Singleton(
                RenewSession,
                workers,
                begin,
                adopt,
                Singleton(SettleUnknown, queue, clock, held),
                clock,
                meters,
                held,
            ),
            claim=Singleton(ClaimJobs, queue, held, require_disk_space, clock, meters, trace),
            run=run,
            clock=clock,
            poll_seconds=settings.provided.worker.poll,
        ),
    )
    maintenance: Provider[Maintenance] = Singleton(
        Maintenance,
        Callable(
            duties.of_the_leader,
            settings,
            queue=queue,
            history=history,
            workers=workers,
            upkeep=log_upkeep,
            notifier=notifier,
            clock=clock,
            meters=meters,
            rates=rate_limits,
        ),
        leadership,
        clock,
        MAINTENANCE_TICK_SECONDS,
    )
    upkeep: Provider[Maintenance] = Singleton(
        Maintenance,
        Callable(duties.of_every_machine, settings, log_upkeep, clock),
        None,
        clock,
        MAINTENANCE_TICK_SECONDS,
    )
    compression: Provider[Maintenance] = Singleton(
        Maintenance,
        Callable(duties.of_long_breath, settings, log_upkeep, clock),
        None,
        clock,
        MAINTENANCE_TICK_SECONDS,
    )

"""Start everything in order, wait for a signal, and stop everything in the other order."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog

from application.asking.patience import until_answered
from domain.errors import DatabaseUnavailable, Unavailable, WrongSetting
from entrypoints.admin_key import ensure_admin_key
from entrypoints.container import Container
from entrypoints.container.database import (
    embedded_postgres,
    migrate,
    pending_migrations,
    require_durable,
    running_embedded,
)
from entrypoints.container.outlets import figures_of
from entrypoints.directories import make_directory, make_own_directory, require_program
from entrypoints.from_settings import this_worker
from entrypoints.http.server import HttpServer
from entrypoints.http.use_cases import only_this_process
from entrypoints.settings import Settings
from entrypoints.signals import Signals
from entrypoints.telemetry import Outage
from entrypoints.whereabouts import announce
from entrypoints.worker.loop import WorkerLoop
from entrypoints.worker.stopping import let_end

START_PATIENCE_SECONDS: Final = 60.0

log = structlog.get_logger()


async def serve(
    settings: Settings, *, api: bool, worker: bool, database: bool, say: Callable[[str], None] = print
) -> None:
    """Runs the parts that are asked for until a signal. Returns after an orderly stop.

    `database`: keeps the embedded PostgreSQL, unless a URL is set, and brings the schema up to date.
    `say` gets the lines for the person who started it, once it is ready. Raises EtlError.
    """
    signals = Signals()
    async with signals.watched(), AsyncExitStack() as stack:
        start = _start(stack, settings, say, api=api, worker=worker, database=database)
        loop = await signals.unless_drained(start)
        await signals.drain.wait()
        if loop is not None:
            on_stop = settings.worker.on_stop or ("wait" if api else "hand_over")
            await let_end(loop, on_stop, settings.worker.drain, signals.stop)


async def _start(
    stack: AsyncExitStack,
    settings: Settings,
    say: Callable[[str], None],
    *,
    api: bool,
    worker: bool,
    database: bool,
) -> WorkerLoop | None:
    _make_directories(settings)
    if worker:
        require_program(settings.scripts.python, "scripts.python")
    url = await _database_url(stack, settings, keep=database)
    await _patiently(lambda: _check_durability(url))
    await _patiently(lambda: _check_schema(url, bring_up_to_date=database))
    container = Container(settings=settings, database_url=url)
    if api:
        container.http_server()  # a key of access tokens that cannot be used is told before anything runs
    await _start_telemetry(stack, container, api=api)
    await _patiently(lambda: _open(stack, container))
    loop = await _start_worker(stack, container, settings) if worker else None
    if api:
        await _start_api(stack, container, settings, say)
    if loop is not None and not api:
        await _start_watch(stack, container, settings)
        say("The worker is ready.")
    return loop


def _make_directories(settings: Settings) -> None:
    make_own_directory(settings.data.directory, "data.directory")
    make_directory(settings.logs_directory, "logs.directory", 0o700)
    if make_directory(settings.scripts.directory, "scripts.directory"):
        log.warning("scripts_directory_made", path=str(settings.scripts.directory))
    if settings.process.user is not None:
        settings.data.directory.chmod(0o711)  # its scratch directories lie in it; it may pass, not list


async def _database_url(stack: AsyncExitStack, settings: Settings, *, keep: bool) -> str:
    if settings.database.url is not None:
        return settings.database.url
    if keep:
        embedded = embedded_postgres(settings)
        stack.push_async_callback(embedded.stop)
        return await embedded.start()
    if (url := running_embedded(settings.data.directory)) is None:
        raise Unavailable(
            f"There is no database: set `database.url`, or start `etl serve` with the same "
            f"`data.directory` ({settings.data.directory})."
        )
    return url


async def _patiently(step: Callable[[], Awaitable[None]]) -> None:
    """A start while the database restarts or fails over waits for it, and says so at once; one that
    waits in vain ends with the reason.
    """
    outage = Outage("start")

    async def told() -> None:
        try:
            await step()
        except DatabaseUnavailable:
            outage.began()
            raise
        outage.ended()

    try:
        async with asyncio.timeout(START_PATIENCE_SECONDS):
            await until_answered(told)
    except TimeoutError:
        await step()


async def _check_durability(url: str) -> None:
    """First of all: a database that forgets is not even migrated."""
    for warning in await require_durable(url):
        log.warning("database_not_durable", warning=warning)


async def _check_schema(url: str, *, bring_up_to_date: bool) -> None:
    if bring_up_to_date:
        if applied := await migrate(url):
            log.info("schema_migrated", migrations=applied)
    elif missing := await pending_migrations(url):
        raise Unavailable(f"The database's schema is {len(missing)} migrations behind: run `etl migrate`.")


async def _open(stack: AsyncExitStack, container: Container) -> None:
    stack.push_async_callback(container.database().close)
    await container.database().open()
    stack.push_async_callback(container.notifier().close)
    await container.notifier().open()


async def _start_telemetry(stack: AsyncExitStack, container: Container, *, api: bool) -> None:
    """Opened first, so that it hears of everything, and closed last."""
    cases = container.use_cases()
    exposition = cases.exposition if api else only_this_process(cases).exposition
    try:
        for outlet in (container.tracer(), figures_of(exposition.families)):
            if outlet is not None:
                stack.push_async_callback(outlet.close)
                await outlet.open()
    except ValueError as error:  # the SDK's word for a variable that it cannot read
        raise WrongSetting(f"OTEL_*: {error}") from None


async def _start_worker(stack: AsyncExitStack, container: Container, settings: Settings) -> WorkerLoop:
    await container.logs().announce(this_worker(settings).host)
    for maintenance in (container.maintenance(), container.upkeep(), container.compression()):
        stack.push_async_callback(maintenance.stop)
        maintenance.start()
    loop = container.worker()
    stack.push_async_callback(loop.stop)
    await loop.start()
    return loop


async def _start_watch(stack: AsyncExitStack, container: Container, settings: Settings) -> None:
    """A worker's own address, for /health and /metrics."""
    host, port = settings.worker.http_host, settings.worker.http_port
    if port is None:
        return
    server = container.watch_server()
    stack.push_async_callback(server.stop)
    address = await _listening(server, "worker.http_host, worker.http_port", host, port)
    log.info("worker_listens", address=address)


async def _start_api(
    stack: AsyncExitStack, container: Container, settings: Settings, say: Callable[[str], None]
) -> None:
    directory = settings.data.directory
    use_cases, server = container.use_cases(), container.http_server()
    key_file = await ensure_admin_key(directory, use_cases.authenticate, use_cases.issue_key)
    stack.push_async_callback(server.stop)
    address = await _listening(server, "http.host, http.port", settings.http.host, settings.http.port)
    stack.callback(announce(directory, address))
    say(f"ETL Orchestrator listens on {address}")
    say(f"  API documentation  {address}/api/docs")
    say(f"  admin key          {key_file}")
    log.info("api_started", address=address)


async def _listening(server: HttpServer, settings: str, host: str, port: int) -> str:
    """Its address, once it listens. `settings`: those that are wrong where it cannot."""
    try:
        return _address(host, await server.start())
    except OSError as error:
        raise WrongSetting(f"{settings}: {host}:{port} cannot be listened on: {error.strerror}.") from None


def _address(host: str, port: int) -> str:
    """As a client on this machine writes it: a server on every address is found on the loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a name, not a bind
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

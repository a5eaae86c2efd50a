"""`etl serve`, `api`, `worker`, `migrate`: the parts that run here."""

import asyncio

from entrypoints.cli import flags
from entrypoints.cli.failure import Failure
from entrypoints.cli.options import Config, Flag
from entrypoints.settings import Settings


def serve(*, config: Config = None) -> None:
    """Run everything in one place: PostgreSQL (embedded unless a URL is set), API and one worker.

    SIGTERM or Ctrl-C: ends what runs, then stops. A second one stops at once.
    Each setting that `etl config show` lists is a flag too, such as --http.port 9000.
    """
    _run(flags.settings(config), api=True, worker=True, database=True)


def api(*, config: Config = None) -> None:
    """Run the HTTP API only, for several machines on one PostgreSQL."""
    _run(flags.settings(config), api=True, worker=False, database=False)


def worker(*, config: Config = None) -> None:
    """Run one worker only, for several machines on one PostgreSQL."""
    _run(flags.settings(config), api=False, worker=True, database=False)


def _run(settings: Settings, *, api: bool, worker: bool, database: bool) -> None:
    # The server costs a second to import: only those who start it pay.
    from entrypoints import lifespan, telemetry  # noqa: PLC0415 - as above

    telemetry.configure(settings.telemetry.log_format, settings.telemetry.log_level)
    asyncio.run(lifespan.serve(settings, api=api, worker=worker, database=database, say=_say))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the command's answer; a pipe must see it at once


def migrate(*, check: Flag = False, config: Config = None) -> None:
    """Bring the schema of `database.url` up to date.

    Parameters
    ----------
    check
        Only tell, and exit 1, if it is not.
    config
        The settings file; without it etl.toml of the current directory.

    """
    url = flags.settings(config).database.url
    if url is None:
        raise Failure("database.url is not set: `etl serve` brings the embedded database up to date itself.")
    asyncio.run(_check(url) if check else _migrate(url))


async def _check(url: str) -> None:
    from entrypoints.container.database import pending_migrations  # noqa: PLC0415 - as above

    if missing := await pending_migrations(url):
        raise Failure(f"The schema is {len(missing)} migrations behind: {', '.join(missing)}.")
    _say("The schema is up to date.")


async def _migrate(url: str) -> None:
    from entrypoints.container.database import migrate as bring_up_to_date  # noqa: PLC0415 - as above

    await bring_up_to_date(url)
    _say("The schema is up to date.")

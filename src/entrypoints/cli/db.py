"""`etl db`: the whole database into a file, and back into an empty one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cyclopts import App

from entrypoints.cli import flags
from entrypoints.cli.failure import Failure
from entrypoints.cli.options import Config
from entrypoints.cli.terminal import say
from entrypoints.directories import make_own_directory
from entrypoints.settings import Settings
from entrypoints.version import VERSION

app = App(name="db", help="Back the database up, and move it.", version_flags=[])


@app.command(name="dump")
def dump_(file: Path, /, *, config: Config = None) -> None:
    """Write the whole database into FILE, at one moment, while it is in use or not.

    It is the database of `database.url`, or the embedded one of `data.directory`. Logs are not in it.
    """
    asyncio.run(_dump(flags.settings(config), file))


@app.command(name="restore")
def restore_(file: Path, /, *, config: Config = None) -> None:
    """Fill an empty database from FILE: that of `database.url`, or a new one in `data.directory`.

    What ran at the moment of the backup is rescued: it is tried again, or ends as lost.
    """
    asyncio.run(_restore(flags.settings(config), file))


async def _dump(settings: Settings, file: Path) -> None:
    # SQLAlchemy and the migrations cost half a second to import: `etl db --help` does not pay.
    from entrypoints.container.database import dump, embedded_exists  # noqa: PLC0415 - as above

    if settings.database.url is None and not embedded_exists(settings):
        raise Failure(f"There is no database in {settings.data.directory}, and database.url is not set.")
    async with _database(settings) as url:
        done = await dump(url, file, VERSION)
    say(f"{done.rows_of('job')} jobs are in {file}.")


async def _restore(settings: Settings, file: Path) -> None:
    from entrypoints.container.database import restore  # noqa: PLC0415 - as above

    async with _database(settings) as url:
        done = await restore(url, file)
    say(f"{done.rows_of('job')} jobs are back, as of {done.made_at}.")


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[str]:
    """Its URL; the embedded one runs until the end of the block, or goes on if a server keeps it."""
    from entrypoints.container.database import embedded_postgres, running_embedded  # noqa: PLC0415 - as above

    if url := settings.database.url or running_embedded(settings.data.directory):
        yield url
        return
    make_own_directory(settings.data.directory, "data.directory")
    embedded = embedded_postgres(settings)
    try:
        yield await embedded.start()
    finally:
        await embedded.stop()

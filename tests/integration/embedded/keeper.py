"""Keeps an embedded database in a process of its own, for tests that kill it. Says one line of JSON."""

import asyncio
import json
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[3] / "src")]

from adapters.embedded.postgres import EmbeddedPostgres  # noqa: E402 - the path is set above
from domain.errors import EtlError  # noqa: E402 - as above


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def keep(directory: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = EmbeddedPostgres(directory)
    try:
        say(url=await server.start())
    except EtlError as error:
        say(error=type(error).__name__, detail=error.detail)
        return
    await stop.wait()
    await server.stop()


asyncio.run(keep(Path(sys.argv[1])))

"""Compresses the logs of the directory that it is given, as a worker does.

With a number it is killed at its so manieth change to the disk.
"""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from adapters.filesystem.log_upkeep import FilesystemLogUpkeep
from tests.crashing import killed_at

if __name__ == "__main__":
    last = int(sys.argv[2]) if sys.argv[2:] else None
    with killed_at(last, 0.5, partial(os.kill, os.getpid(), signal.SIGKILL)):
        asyncio.run(FilesystemLogUpkeep(Path(sys.argv[1])).compress_idle(datetime.now(UTC), 100))

"""A worker's life in a process of its own, to be killed: `python life.py DIRECTORY LAUNCHES LEFT_BEHIND`.

Starts each `[job_id, argv]` on the run directory, tells that on stdout, and waits for its death.
"""

import asyncio
import json
import sys
from pathlib import Path
from uuid import UUID

sys.path[:0] = [str(Path(__file__).parents[3] / "src"), str(Path(__file__).parents[3])]

from adapters.process.runner import SupervisedProcessRunner  # noqa: E402 - the path is set above
from domain.log import LogRef  # noqa: E402 - as above
from domain.policy import LeftBehind  # noqa: E402 - as above
from tests.integration.process.rig import Rig  # noqa: E402 - as above


async def live(directory: Path, launches: list[tuple[str, list[str]]], left_behind: LeftBehind) -> None:
    rig = Rig(directory, SupervisedProcessRunner(directory / "run"))
    await rig.runner.open()
    for job_id, argv in launches:
        ref, log = LogRef(job_id=UUID(job_id), fence=7), directory / f"{job_id}.log"
        launch = rig.launch(*argv, ref=ref, log=log, left_behind=left_behind)
        await rig.runner.start(launch)
    sys.stdout.write(f"{rig.zygote}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), json.loads(sys.argv[2]), LeftBehind(sys.argv[3])))

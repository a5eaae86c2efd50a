"""What runs programs several at once and keeps nothing: tools of the shell, each as its manual says."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """`line` is for sh, with the places {jobs}, {slots} and {program}."""

    name: str
    needs: str
    line: str

    def run(self, program: Sequence[str], jobs: int, slots: int) -> float | None:
        """Seconds for all; None where it is not installed."""
        if shutil.which(self.needs) is None:
            return None
        line = self.line.format(jobs=jobs, slots=slots, program=shlex.join(program))
        with tempfile.TemporaryDirectory(prefix="etl-bench-") as directory:
            environment = {**os.environ, "TMPDIR": directory, "TS_SOCKET": f"{directory}/socket"}
            began = time.monotonic()
            subprocess.run(
                ["/bin/sh", "-e", "-c", line], check=True, env=environment, stdout=subprocess.DEVNULL
            )
            return time.monotonic() - began


XARGS = Peer("xargs -P", "xargs", "seq {jobs} | xargs -P{slots} -n1 {program}")
PARALLEL = Peer("GNU parallel", "parallel", "seq {jobs} | parallel --will-cite -j{slots} -n1 {program}")
TASK_SPOOLER = Peer(
    "task-spooler",
    "tsp",
    # It runs first come, first served: when the last of every slot has ended, all have.
    "tsp -S {slots}; for i in $(seq {jobs}); do tsp {program}; done; "
    "for i in $(seq $(({jobs} - 2 * {slots})) $(({jobs} - 1))); do tsp -w $i; done; tsp -K",
)

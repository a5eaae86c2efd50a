"""The ledger: what the programs themselves say happened, beside what the database says."""

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

PROGRAM = """#!{python} -IS
import os, random, sys, time
ledger = os.open({ledger!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
who = f"{{os.environ['ETL_JOB_ID']}} {{os.environ['ETL_FENCE']}}"
def mark(word):
    os.write(ledger, f"{{who}} {{word}} {{time.clock_gettime_ns(time.CLOCK_BOOTTIME)}}\\n".encode())
mark("start")
until = time.monotonic() + random.choice((0.02, 0.1, 0.3, 1.5))
while time.monotonic() < until:
    time.sleep(0.02)
    mark("tick")
mark("end")
"""


@dataclass
class Entry:
    """One attempt, by its own marks: (word, CLOCK_BOOTTIME ns) in order."""

    marks: list[tuple[str, int]] = field(default_factory=list)

    @property
    def first(self) -> int:
        return self.marks[0][1]

    @property
    def last(self) -> int:
        return self.marks[-1][1]


class Ledger:
    """One file, appended to by every attempt; a line is one write, so none is torn."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ledger"
        self._path.touch()
        self._path.chmod(0o666)

    def install(self, scripts: Path, name: str) -> None:
        program = scripts / name
        program.write_text(PROGRAM.format(python=sys.executable, ledger=str(self._path)))
        program.chmod(0o755)

    @property
    def tag(self) -> str:
        return str(self._path)

    def entries(self) -> dict[UUID, dict[int, Entry]]:
        """By job and fence."""
        found: dict[UUID, dict[int, Entry]] = defaultdict(lambda: defaultdict(Entry))
        for line in self._path.read_text().splitlines():
            job_id, fence, word, at = line.split()
            found[UUID(job_id)][int(fence)].marks.append((word, int(at)))
        return found

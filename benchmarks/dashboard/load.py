"""Something to look at: an API and a worker, and jobs of every kind."""

import itertools
import random
import time
from typing import Final

import httpx

from tests.e2e.installation import Installation

SCRIPTS: Final = {
    "quick.sh": "echo loaded\n",
    "slow.sh": "for n in 1 2 3 4; do echo part $n; sleep 0.7; done\n",
    "fails.sh": "echo 'no such table' >&2; exit 3\n",
    "talks.py": "for n in range(20000): print('row', n)\n",
}
WEIGHTS: Final = {"quick.sh": 10, "slow.sh": 4, "fails.sh": 1, "talks.py": 3}


def write_scripts(installation: Installation) -> None:
    for name, text in SCRIPTS.items():
        installation.script(name, text)


def submit_for(installation: Installation, seconds: float) -> None:
    """A calm minute and a busy one in turn, so that a queue grows and shrinks."""
    chance = random.Random(7)  # noqa: S311 - the same load each time
    end = time.monotonic() + seconds
    with installation.http() as http:
        for number in itertools.count():
            if time.monotonic() > end:
                return
            _ask(http, chance, number)
            is_busy = (end - time.monotonic()) % 60 < 25
            time.sleep(chance.uniform(0, 0.15) if is_busy else chance.uniform(0.2, 0.8))


def _ask(http: httpx.Client, chance: random.Random, number: int) -> None:
    script = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    queue = "night" if number % 3 == 0 else "default"
    made = http.post("/jobs", json={"script": script, "queue": queue}).json()
    http.get(f"/jobs/{made['id']}")
    if number % 5 == 0:
        http.get("/jobs", params={"limit": 20})
    if number % 20 == 0:
        http.get("/jobs/nothing")

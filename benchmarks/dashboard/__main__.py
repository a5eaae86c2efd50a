"""`python -m benchmarks.dashboard`: draws docs/dashboard.svg from the dashboard and from real figures.

An API and a worker run jobs, a Prometheus (Debian: apt-get install prometheus) scrapes them, and each
panel of deploy/grafana/dashboards/etl.json is asked for by its own expression. Exits 1 where one fails.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.dashboard.drawing import Series, picture
from benchmarks.dashboard.load import submit_for, write_scripts
from tests.e2e.installation import ROOT, Installation, until
from tests.e2e.test_observability import free_port

DASHBOARD = ROOT / "deploy/grafana/dashboards/etl.json"
SCRAPE_SECONDS = 2
CONFIG = """
global: {{scrape_interval: {every}s}}
scrape_configs:
  - {{job_name: etl-api, static_configs: [{{targets: ["{api}"]}}]}}
  - {{job_name: etl-worker, static_configs: [{{targets: ["{worker}"]}}]}}
"""


class Prometheus:
    def __init__(self, program: str, directory: Path, api: str, worker: str) -> None:
        config = directory / "prometheus.yml"
        config.write_text(CONFIG.format(every=SCRAPE_SECONDS, api=api, worker=worker))
        self.url = f"http://127.0.0.1:{free_port()}"
        with (directory / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={directory / 'tsdb'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=log,
            )

    def series(self, target: dict[str, str], began: float, ended: float) -> list[Series]:
        """As the dashboard asks; `$__rate_interval` as Grafana fills it: four scrapes."""
        query = target["expr"].replace("$__rate_interval", f"{max(4 * SCRAPE_SECONDS, 15)}s")
        step = max(SCRAPE_SECONDS, (ended - began) / 120)
        asked = {"query": query, "start": began, "end": ended, "step": step}
        answer = httpx.get(f"{self.url}/api/v1/query_range", params=asked, trust_env=False, timeout=30)
        answer.raise_for_status()
        return [_series(found, target["legendFormat"]) for found in answer.json()["data"]["result"]]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def _series(found: dict[str, Any], legend: str) -> Series:
    name = re.sub(r"\{\{(\w+)\}\}", lambda label: found["metric"].get(label[1], ""), legend)
    points = [(float(at), float(value)) for at, value in found["values"] if value != "NaN"]
    return Series(name, points)


def measured(program: str, directory: Path, seconds: float) -> str:
    installation = Installation(directory)
    write_scripts(installation)
    port = free_port()
    try:
        installation.serve("serve")
        installation.spawn("worker", f"--worker.http_port={port}", "--worker.slots=2")
        api = installation.server["url"].removeprefix("http://")
        prometheus = Prometheus(program, directory, api, f"127.0.0.1:{port}")
        try:
            until(lambda: _answers(prometheus.url), "Prometheus")
            began = time.time()
            submit_for(installation, seconds)
            return drawn(prometheus, began, time.time())
        finally:
            prometheus.stop()
    finally:
        installation.stop()


def _answers(url: str) -> bool | None:
    try:
        return True if httpx.get(f"{url}/-/ready", trust_env=False).is_success else None
    except httpx.TransportError:
        return None


def drawn(prometheus: Prometheus, began: float, ended: float) -> str:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    found = [
        (panel, [s for t in panel.get("targets", ()) for s in prometheus.series(t, began, ended)])
        for panel in panels
    ]
    for panel, series in found:
        print(f"{panel['title']:<40} {len(series):>3} series")
    return picture(found, began, ended)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard")
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/dashboard.svg")
    asked = parser.parse_args()
    program = shutil.which("prometheus")
    if program is None:
        print("There is no `prometheus` on the PATH.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as directory:
        asked.output.write_text(measured(program, Path(directory), 60 * asked.minutes), encoding="utf-8")
    print(f"drawn: {asked.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

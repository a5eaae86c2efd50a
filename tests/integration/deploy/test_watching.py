"""Dashboard and alerts ask for figures that are really told, with labels that they really have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html import escape
from typing import Any

import pytest

from tests.architecture.sources import ROOT
from tests.integration.deploy.promql import labels_in, metrics_in
from tests.integration.http.api import Api
from tests.integration.http.families import every_family

PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/dashboards/etl.json"
PROMTOOL = shutil.which("promtool")
OF_THE_SCRAPE = {"instance", "job"}
WITHOUT_PANEL_OR_ALERT = {"etl_build_info", "etl_queue_slots"}


def alerts() -> dict[str, str]:
    """Each expression by the name of its alert."""
    text = (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8")
    return dict(re.findall(r"- alert: (\w+)\n +expr: (.+)", text))


def panels() -> Iterator[dict[str, Any]]:
    found = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    yield from (panel for panel in found if panel["type"] != "row")


def expressions() -> dict[str, str]:
    """All, by where they stand."""
    shown = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel["targets"]
    }
    return alerts() | shown


@pytest.fixture
async def told(api: Api) -> dict[str, set[str]]:
    """The labels of each sample, by its name."""
    found: dict[str, set[str]] = {"up": set()}  # Prometheus' own
    for family in await every_family(api):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture
def api() -> Api:
    return Api()


def test_there_is_something_to_look_at() -> None:
    assert len(alerts()) == (PROMETHEUS / "alerts.yml").read_text().count("- alert:") >= 10
    assert len(list(panels())) >= 15
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("place", expressions())
def test_every_expression_names_figures_and_labels_that_are_there(
    place: str, told: dict[str, set[str]]
) -> None:
    expression = expressions()[place]
    metrics = metrics_in(expression)
    assert metrics
    assert metrics - set(told) == set()
    of_the_metrics = set().union(*(told[name] for name in metrics))
    assert labels_in(expression) - of_the_metrics - OF_THE_SCRAPE == set()


def test_a_legend_shows_a_label_that_its_expression_keeps() -> None:
    wrong = [
        (panel["title"], target["legendFormat"])
        for panel in panels()
        for target in panel["targets"]
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        if label not in labels_in(target["expr"]) | OF_THE_SCRAPE
    ]
    assert wrong == []


def test_every_figure_is_on_the_dashboard_or_in_an_alert(told: dict[str, set[str]]) -> None:
    asked = {name for expression in expressions().values() for name in metrics_in(expression)}
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in told if name.startswith("etl_")}
    assert ours - {name.removesuffix("_bucket") for name in asked} == WITHOUT_PANEL_OR_ALERT


def test_no_panel_lies_over_another() -> None:
    cells = [
        (x, y)
        for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_picture_in_the_documents_shows_every_panel() -> None:
    picture = (ROOT / "docs/dashboard.svg").read_text(encoding="utf-8")
    assert [panel["title"] for panel in panels() if f">{escape(panel['title'])}<" not in picture] == []


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: apt-get install prometheus)")
@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
        ("check", "config", "prometheus.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_own_tool_accepts_it(command: tuple[str, ...]) -> None:
    ended = subprocess.run(
        [str(PROMTOOL), *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ('up{job=~"etl.*"} == 0', {"up"}, {"job"}),
        (
            "histogram_quantile(0.95, sum by (le, operation) (rate(etl_x_bucket[$__rate_interval])))",
            {"etl_x_bucket"},
            {"le", "operation"},
        ),
        ("max by (queue) (a) > 1e3 unless on (queue) b == 1", {"a", "b"}, {"queue"}),
        ("rate(etl_wrong[5m]) + misspelt", {"etl_wrong", "misspelt"}, set()),
    ],
)
def test_what_an_expression_names_is_read_from_it(
    expression: str, metrics: set[str], labels: set[str]
) -> None:
    assert (metrics_in(expression), labels_in(expression)) == (metrics, labels)

"""Every line that the product writes has an event of the list in docs/observability.md, and the reverse."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from entrypoints.container.database import EMBEDDED_EVENTS
from entrypoints.telemetry import LIBRARY, OUTAGES
from tests.architecture.sources import ROOT, imported, python_files, shown

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NOT_BY_NAME = {"src/entrypoints/telemetry.py", "src/entrypoints/container/database.py"}
"""Where the event is looked up in one of the tables below."""


def lines() -> Iterator[tuple[Path, ast.expr]]:
    """The first argument of every call of a logger. The supervisor has none."""
    for path in python_files("src"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and _is_a_level(node.func):
                yield path, node.args[0]


def _is_a_level(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in LEVELS


def named_in_the_code() -> set[str]:
    plain = {str(event.value) for _, event in lines() if isinstance(event, ast.Constant)}
    looked_up = {event for pair in OUTAGES.values() for event in pair}
    return {LIBRARY, *EMBEDDED_EVENTS.values()} | plain | looked_up


def named_on_the_page() -> set[str]:
    page = (ROOT / "docs/observability.md").read_text(encoding="utf-8")
    section = page.partition("## Log lines")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {word for cell in first_cells for word in re.findall(r"`(\w+)`", cell)}


def test_the_list_of_events_is_that_of_the_code() -> None:
    assert named_on_the_page() == named_in_the_code()


def test_an_event_is_a_plain_name_but_where_a_table_names_it() -> None:
    made_up = {shown(path) for path, event in lines() if not isinstance(event, ast.Constant)}
    assert made_up == NOT_BY_NAME
    assert [event for event in named_in_the_code() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", event)] == []


def test_nobody_logs_but_by_structlog() -> None:
    allowed = {"src/entrypoints/telemetry.py", "src/adapters/otlp/delivery.py"}
    assert {shown(path) for path in python_files("src") if "logging" in imported(path)} == allowed

"""The documents say what the code says."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from domain.access import Scope
from domain.attempt import Outcome
from domain.event import EventKind
from domain.job import JobState
from entrypoints.settings import units
from entrypoints.settings.values import Setting, all_settings
from tests.architecture.sources import ROOT, repository_files, shown

DOCUMENTS = [path for path in repository_files() if path.suffix == ".md"]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SHOWN: dict[str, Callable[[Any], str]] = {
    "duration": units.show_seconds,
    "size": units.show_size,
    "rate": units.show_rate,
    "switch": lambda on: "on" if on else "off",
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(name: str) -> list[list[str]]:
    """The cells of every row of every table on a page."""
    lines = [line for line in text_of(name).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("word", [*JobState, *EventKind, *Outcome])
def test_every_state_event_and_outcome_stands_on_the_page_of_the_state_machine(word: str) -> None:
    assert f"`{word}`" in text_of("docs/state-machine.md")


def test_the_events_of_that_page_are_those_of_the_code() -> None:
    steps = [row for row in rows("docs/state-machine.md") if len(row) == 4][1:]
    named = {word for row in steps for word in re.findall(r"`(\w+)`", row[3])}
    assert named == {str(kind) for kind in EventKind}


def test_the_table_of_settings_is_that_of_the_schema() -> None:
    table = {row[0].strip("`"): row[2] for row in rows("docs/operations.md") if len(row) == 3}
    settings = {setting.key: setting.meaning for setting in all_settings()}
    assert {key: meaning for key, meaning in table.items() if "." in key} == settings


@pytest.mark.parametrize("setting", [s for s in all_settings() if s.kind in SHOWN], ids=lambda s: s.key)
def test_a_default_in_that_table_is_the_default(setting: Setting) -> None:
    row = next(row for row in rows("docs/operations.md") if row[0] == f"`{setting.key}`")
    assert row[1] == f"`{SHOWN[setting.kind](setting.default)}`"


@pytest.mark.parametrize("scope", list(Scope))
def test_every_scope_stands_on_the_page_of_the_api(scope: Scope) -> None:
    assert f"`{scope}`" in text_of("docs/api.md")


def test_the_index_of_decisions_names_each_once_with_its_title() -> None:
    pages = sorted((ROOT / "docs/adr").glob("0*.md"))
    listed = [line for line in text_of("docs/adr/README.md").splitlines() if line.startswith("- ")]
    titles = [page.read_text(encoding="utf-8").splitlines()[0] for page in pages]
    assert listed == [
        f"- [{page.name[:4]}]({page.name}) {title.partition('. ')[2]}"
        for page, title in zip(pages, titles, strict=True)
    ]


def test_every_decision_has_its_four_parts() -> None:
    parts = ("**Context.**", "**Decision.**", "**What it costs.**", "**Measured or seen.**")
    pages = sorted((ROOT / "docs/adr").glob("0*.md"))
    assert [shown(page) for page in pages if not all(part in page.read_text() for part in parts)] == []


def test_contributing_names_every_kind_of_tests() -> None:
    tests = [path.relative_to(ROOT) for path in repository_files() if path.name.startswith("test_")]
    kinds = {path.parts[1] for path in tests}
    assert kinds == set(re.findall(r"^tests/(\w+) ", text_of("CONTRIBUTING.md"), re.MULTILINE))


def test_no_document_links_to_a_file_that_is_not_there() -> None:
    broken = [
        f"{shown(page)}: {target}"
        for page in DOCUMENTS
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert broken == []

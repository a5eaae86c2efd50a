"""The rules of the house, as far as a machine can check them."""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import entrypoints.http.refusals  # noqa: F401 - its errors belong to the list
from domain.errors import EtlError
from tests.architecture.sources import ROOT, SRC, imported, python_files, repository_files, shown

PACKAGES = {"domain", "application", "adapters", "entrypoints"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "service"}
IMPURE = {"asyncio", "os", "random", "secrets", "socket", "subprocess", "threading", "time"}
EXCEPTION = re.compile(r"#\s*(noqa|type:\s*ignore)")
REASONED = re.compile(r"#\s*(noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s*(-|#)\s*\w+")
# Put together here, so that this file does not name them either.
HOSTS = [
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("ghcr", "io"))
]
# A directory of one machine; root's home as such may be spoken of.
PLACES = re.compile(r"(?<![\w.}/-])/(?:" + "wo" + r"rk(?![\w-])|" + "ro" + r"ot/\w)")


def errors() -> list[type[EtlError]]:
    def below(kind: type[EtlError]) -> Iterator[type[EtlError]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    return [each for each in dict.fromkeys(below(EtlError)) if each.__module__.split(".")[0] in PACKAGES]


def ports() -> set[str]:
    return {path.stem for path in (SRC / "application/ports").glob("*.py")} - {"__init__"}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


# -- layers -------------------------------------------------------------------------------------------


def test_every_import_contract_holds(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / ".importlinter"), no_cache=True)
    assert status == 0, capsys.readouterr().out


def test_src_has_exactly_the_four_packages() -> None:
    assert {path.name for path in SRC.iterdir() if path.name != "__pycache__"} == PACKAGES


def test_the_domain_imports_the_standard_library_only_and_nothing_that_acts() -> None:
    allowed = (sys.stdlib_module_names - IMPURE) | {"domain"}
    foreign = {shown(p): bad for p in python_files("src/domain") if (bad := _outside(p, allowed))}
    assert foreign == {}


def test_the_supervisor_imports_the_standard_library_and_the_log_index_only() -> None:
    allowed = sys.stdlib_module_names | {"adapters.process.supervisor", "domain.log_index"}
    files = python_files("src/adapters/process/supervisor")
    assert files
    assert {shown(p): bad for p in files if (bad := _outside(p, allowed))} == {}


def test_the_log_index_which_the_supervisor_loads_imports_nothing_but_struct() -> None:
    assert imported(SRC / "domain/log_index.py") == {"struct"}


def _outside(path: Path, allowed: frozenset[str] | set[str]) -> set[str]:
    return {
        name
        for name in imported(path)
        if name.split(".")[0] not in allowed and not any(f"{name}.".startswith(f"{a}.") for a in allowed)
    }


# -- reading ------------------------------------------------------------------------------------------


def test_no_file_is_longer_than_300_lines() -> None:
    long = {shown(p): n for p in python_files("src") if (n := len(p.read_text().splitlines())) > 300}
    assert long == {}


def test_no_function_has_more_than_40_lines_of_code() -> None:
    """Its docstring does not count: on the command line it is the page that `--help` shows."""
    long = {
        f"{shown(path)}:{f.lineno} {f.name}": lines
        for path in python_files("src", "tests", "examples", "benchmarks")
        for f in functions(path)
        if (lines := _length(f) - (_length(f.body[0]) if ast.get_docstring(f) else 0)) > 40
    }
    assert long == {}


def _length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [shown(p) for p in python_files("src", "tests") if {*shown(p)[:-3].split("/")} & VAGUE]
    assert vague == []


def test_every_silenced_finding_carries_its_reason_on_the_line() -> None:
    bare = [
        f"{shown(path)}:{line} {comment}"
        for path in python_files("src", "tests", "examples", "benchmarks")
        for line, comment in comments(path)
        if EXCEPTION.search(comment) and not REASONED.search(comment)
    ]
    assert bare == []


def test_nothing_names_a_registry_or_a_path_of_one_machine() -> None:
    named = [f"{shown(path)}:{line}" for path in repository_files() for line in _foreign_lines(path)]
    assert named == []


def _foreign_lines(path: Path) -> list[int]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []
    return [n for n, line in enumerate(lines, 1) if any(h in line for h in HOSTS) or PLACES.search(line)]


# -- errors and ports ---------------------------------------------------------------------------------


def test_every_error_has_a_code_a_title_and_a_docstring_of_its_own() -> None:
    missing = [
        e.__name__ for e in errors() if not {"code", "title", "__doc__"} <= vars(e).keys() or not e.__doc__
    ]
    assert len(errors()) > 20
    assert missing == []


def test_no_two_errors_have_the_same_code() -> None:
    assert [code for code, count in Counter(error.code for error in errors()).items() if count > 1] == []


def test_every_port_has_a_contract_test_and_every_contract_test_a_port() -> None:
    """`test_PORT.py`, or `test_PORT_…py` where one file would be too long."""
    suites = {path.stem.removeprefix("test_") for path in (ROOT / "tests/contract").glob("test_*.py")}
    without_test = {port for port in ports() if port not in suites}
    without_port = {s for s in suites if not any(s == p or s.startswith(f"{p}_") for p in ports())}
    assert (without_test, without_port) == (set(), set())

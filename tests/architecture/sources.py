"""The repository as files, for tests that read it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"


def python_files(*folders: str) -> list[Path]:
    """All modules beneath these folders of the repository, by name."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def repository_files() -> list[Path]:
    """Every file that belongs to the repository: what .gitignore names is left out, and .git."""
    ignored = {line.strip().rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()} | {".git"}
    return sorted(path for path in _walk(ROOT, ignored) if path.is_file())


def _walk(directory: Path, ignored: set[str]) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.name in ignored or any(path.match(pattern) for pattern in ignored if "*" in pattern):
            continue
        yield from _walk(path, ignored) if path.is_dir() else (path,)


def imported(path: Path) -> set[str]:
    """The absolute names of all modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add("." * node.level + node.module)
    return found


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()

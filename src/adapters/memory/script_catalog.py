"""Scripts that exist by name alone."""

from pathlib import Path, PurePosixPath

from domain.script_name import check_script_name, unknown_script


class MemoryScriptCatalog:
    """ScriptCatalog. Knows the names in `scripts`; whatever is neither `*.py` nor `*.sh` is executable."""

    def __init__(self, *scripts: str, directory: Path = Path("/scripts"), python: str = "python3") -> None:
        self.scripts = set(scripts)
        self._directory = directory
        self._python = python

    @property
    def directory(self) -> Path:
        return self._directory

    def argv(self, script: str) -> tuple[str, ...]:
        check_script_name(script)
        name = PurePosixPath(script)
        if str(name) not in self.scripts:
            raise unknown_script("is no file in the scripts directory; check the name")
        path = str(self._directory / name)
        interpreter = {".py": (self._python,), ".sh": ("/bin/sh",)}.get(name.suffix, ())
        return (*interpreter, path)

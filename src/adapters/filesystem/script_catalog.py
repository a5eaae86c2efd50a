"""Scripts as files of one directory."""

import os
import stat
from pathlib import Path

from domain.script_name import check_script_name, unknown_script


class FilesystemScriptCatalog:
    """ScriptCatalog. `python` is the interpreter for `*.py`, an absolute path."""

    def __init__(self, directory: Path, python: str) -> None:
        self._directory = directory.absolute()
        self._python = python

    @property
    def directory(self) -> Path:
        return self._directory

    def argv(self, script: str) -> tuple[str, ...]:
        check_script_name(script)
        path = self._beneath(script)
        _check_file(path)
        # The name that was checked is the one that runs: symlinks are resolved once.
        if path.endswith(".py"):
            return self._python, path
        if path.endswith(".sh"):
            return "/bin/sh", path
        if not os.access(path, os.X_OK):
            raise unknown_script("is neither `*.py` nor `*.sh` nor executable; set its x bit (chmod +x)")
        return (path,)

    def _beneath(self, script: str) -> str:
        """The real path. A symlink may point to anything in the directory, and to nothing outside of it."""
        named = f"{self._directory}/{script}"
        try:
            if os.path.realpath(named, strict=True) == named:
                return named  # without a symlink on the whole way
            root = os.path.realpath(self._directory, strict=True)
            path = os.path.realpath(f"{root}/{script}", strict=True)
        except PermissionError:
            raise unknown_script("is in a directory that the server's user may not enter") from None
        except OSError:
            above = f"{self._directory.name}/"
            cure = f"leave `{above}` out" if script.startswith(above) else "check the name"
            raise unknown_script(f"is no file in the scripts directory; {cure}") from None
        if not path.startswith(root.rstrip("/") + "/"):
            raise unknown_script("is a symlink that leaves the scripts directory; copy the file into it")
        return path


def _check_file(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        raise unknown_script("has just been removed from the scripts directory; put it back") from None
    if not stat.S_ISREG(mode):
        raise unknown_script("is not a regular file; name a file, not a directory or a device")
    if mode & stat.S_IWOTH:
        raise unknown_script("can be changed by every user of the machine; take that away (chmod o-w)")

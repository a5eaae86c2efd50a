"""Which names can be a script's at all, before anybody looks at a file."""

from domain.errors import Place, UnknownScript

MAX_NAME = 1024


def check_script_name(script: str) -> None:
    """Raises UnknownScript, with the cure, for a name that could leave the directory or become a flag."""
    if fault := _fault(script):
        raise unknown_script(fault)


def unknown_script(fault: str) -> UnknownScript:
    return UnknownScript("The script cannot be run; `errors` says why.", (Place("/script", fault),))


def _fault(script: str) -> str | None:
    parts = [part for part in script.split("/") if part not in {"", "."}]
    if not parts:
        return "is empty; give a path relative to the scripts directory, such as `load.py`"
    if len(script) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if not script.isprintable():
        return "holds a character that is not printable"
    if "\\" in script:
        return "holds a backslash; parts of a path are separated by `/`"
    if script.startswith("/"):
        return "is an absolute path; give it relative to the scripts directory"
    if ".." in parts:
        return "holds `..`; a script lies beneath the scripts directory"
    if any(part.startswith("-") for part in parts):
        return "has a part that begins with `-`, which a program could take for a flag; rename it"
    return None

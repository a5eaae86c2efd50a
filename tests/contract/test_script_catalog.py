"""ScriptCatalog: which names run, and how."""

from pathlib import Path

import pytest

from adapters.filesystem.script_catalog import FilesystemScriptCatalog
from adapters.memory.script_catalog import MemoryScriptCatalog
from application.ports.script_catalog import ScriptCatalog
from domain.errors import UnknownScript

PYTHON = "/usr/bin/python3"
SCRIPTS = ("load.py", "load.sh", "tool", "nightly/load.py", "with space.py", "größe.py")


@pytest.fixture(params=("memory", "filesystem"))
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> ScriptCatalog:
    if request.param == "memory":
        return MemoryScriptCatalog(*SCRIPTS, directory=tmp_path, python=PYTHON)
    for name in SCRIPTS:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o755)
    return FilesystemScriptCatalog(tmp_path, PYTHON)


def test_a_script_is_started_by_what_its_name_says(catalog: ScriptCatalog) -> None:
    directory = catalog.directory
    assert catalog.argv("load.py") == (PYTHON, str(directory / "load.py"))
    assert catalog.argv("load.sh") == ("/bin/sh", str(directory / "load.sh"))
    assert catalog.argv("tool") == (str(directory / "tool"),)


@pytest.mark.parametrize(
    "name", ["nightly/load.py", "./load.py", "nightly//load.py", "with space.py", "größe.py"]
)
def test_plain_relative_names_are_found(catalog: ScriptCatalog, name: str) -> None:
    assert catalog.argv(name)[-1] == str(catalog.directory / Path(name))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "/",
            "./",
            "missing.py",
            "nightly",
            "nightly/",
            "load.py/x",
            "a\0b",
            "load.py\0",
            "load.py\n",
        ),
        *("/load.py", "//load.py", "/etc/passwd", "..", "../x.py", "nightly/../load.py", "nightly/../../x"),
        *("..\\x.py", "nightly\\load.py", "-c", "--help", "nightly/-x.py", "-x/load.py", "load.py "),
        *("x" * 300, "x/" * 600 + "x", "\udcff.py", "~/x.py", "$HOME", "load.p?", "LOAD.PY"),
    ],
)
def test_any_other_name_is_refused_with_the_cure_and_no_path(catalog: ScriptCatalog, name: str) -> None:
    with pytest.raises(UnknownScript) as refusal:
        catalog.argv(name)
    (place,) = refusal.value.places
    assert place.pointer == "/script"
    assert len(place.detail) > 10
    assert str(catalog.directory) not in refusal.value.detail + place.detail

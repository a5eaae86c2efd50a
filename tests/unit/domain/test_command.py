"""What a caller's values become: arguments and variables, and never anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.command import Command, Parameter, environment_faults, render

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,10}", fullmatch=True)
SCALARS = st.text() | st.integers() | st.floats() | st.booleans()
PARAMETERS = st.dictionaries(NAMES, SCALARS | st.none() | st.lists(SCALARS, max_size=4).map(tuple))


def pointers(command: Command) -> list[str]:
    return [place.pointer for place in command.faults()]


# -- rendering -----------------------------------------------------------------------------------------


def test_parameters_become_one_argument_each_with_names_sorted() -> None:
    parameters: dict[str, Parameter] = {"period": "2026-01", "full": True, "region": ("eu", "us")}
    assert list(render(parameters)) == ["--full", "--period=2026-01", "--region=eu", "--region=us"]


def test_false_and_null_are_left_out_and_zero_and_empty_are_not() -> None:
    parameters: dict[str, Parameter] = {"a": False, "b": None, "c": 0, "d": "", "e": (), "f": (None, 1.5)}  # type: ignore[dict-item]  # mixed on purpose
    assert list(render(parameters)) == ["--c=0", "--d=", "--f=1.5"]


def test_arguments_follow_the_parameters_as_they_are() -> None:
    command = Command(script="load.py", parameters={"n": 1}, args=("--", "-x", "a b"))
    assert command.arguments() == ("--n=1", "--", "-x", "a b")


@given(parameters=PARAMETERS)
def test_no_value_can_become_a_flag(parameters: dict[str, Parameter]) -> None:
    for argument in render(parameters):
        name, equals, value = argument.removeprefix("--").partition("=")
        assert argument.startswith("--")
        assert name in parameters
        given_value = parameters[name]
        items = given_value if isinstance(given_value, tuple) else (given_value,)
        assert (value in map(str, items)) if equals else any(item is True for item in items)


@given(parameters=PARAMETERS)
def test_rendering_keeps_every_value_that_is_neither_false_nor_null(parameters: dict[str, Parameter]) -> None:
    items = [i for v in parameters.values() for i in (v if isinstance(v, tuple) else (v,))]
    assert len(list(render(parameters))) == sum(i is not None and i is not False for i in items)


# -- faults ----------------------------------------------------------------------------------------------


def test_exactly_one_of_script_and_command_is_needed() -> None:
    assert pointers(Command()) == ["/script"]
    assert pointers(Command(script="a.py", argv=("/bin/true",))) == ["/script"]
    assert pointers(Command(script="a.py")) == []
    assert pointers(Command(argv=("/bin/true", ""))) == []


def test_a_program_without_a_name_is_refused() -> None:
    assert pointers(Command(argv=("", "x"))) == ["/command/0"]


@pytest.mark.parametrize("bad", ["a\0b", "\0", "\ud800", "x\udfff"])
def test_what_no_argument_can_carry_is_refused_wherever_it_stands(bad: str) -> None:
    assert pointers(Command(script=bad)) == ["/script"]
    assert pointers(Command(argv=("true", bad))) == ["/command/1"]
    assert pointers(Command(script="a.py", args=("ok", bad))) == ["/args/1"]
    assert pointers(Command(script="a.py", parameters={"p": bad})) == ["/parameters/p"]
    assert pointers(Command(script="a.py", parameters={"p": ("ok", bad)})) == ["/parameters/p"]


@pytest.mark.parametrize(
    "name", ["", "-x", "Period", "1st", "a b", "a=b", "größe", "a\n", "a\u0663", "\uff41"]
)
def test_a_parameter_whose_name_could_be_more_than_a_name_is_refused(name: str) -> None:
    assert len(pointers(Command(script="a.py", parameters={name: 1}))) == 1


def test_a_pointer_escapes_the_name_as_rfc_6901_says() -> None:
    assert pointers(Command(script="a.py", parameters={"a/b~c": 1})) == ["/parameters/a~1b~0c"]


@given(name=NAMES)
def test_every_plain_name_is_accepted(name: str) -> None:
    assert pointers(Command(script="a.py", parameters={name: "x"})) == []


# -- environment -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "ETL_JOB_ID",
        "ETL_",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "DYLD_INSERT_LIBRARIES",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "BASH_ENV",
        "ENV",
        "IFS",
        "TRACEPARENT",
        "",
        "1A",
        "A-B",
        "A=B",
        "A\n",
        "GRÖSSE",
        "A\u0663",
    ],
)
def test_a_name_that_decides_what_runs_or_is_none_is_refused(name: str) -> None:
    assert len(list(environment_faults({name: "x"}))) == 1


@pytest.mark.parametrize("name", ["PATH", "region", "_", "METL_X", "OLD_PATH", "PYTHONUTF8", "MY_ENV"])
def test_an_ordinary_name_is_accepted(name: str) -> None:
    assert list(environment_faults({name: "x"})) == []


@pytest.mark.parametrize("value", ["a\0b", "\udc80"])
def test_a_value_that_no_process_can_hold_is_refused(value: str) -> None:
    assert [place.pointer for place in environment_faults({"A": value})] == ["/environment/A"]


@given(name=st.text(max_size=12))
def test_every_accepted_name_is_ascii_and_plain(name: str) -> None:
    if not list(environment_faults({name: "x"})):
        assert name.isascii()
        assert name.isidentifier()
        assert not name.startswith(("ETL_", "LD_", "DYLD_"))

"""What a job runs, and the rules that keep a caller's values from becoming anything but values."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.errors import Place

Scalar = str | int | float | bool
Parameter = Scalar | None | tuple[Scalar, ...]

# re.ASCII and fullmatch everywhere: `$` takes a newline, and `\d` takes Arabic digits.
_PARAMETER_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
_ENVIRONMENT_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# These names change which code runs rather than what it works on, or are ours.
_REFUSED_NAME: Final = re.compile(
    r"ETL_.*|LD_.*|DYLD_.*|PYTHON.*(STARTUP|HOME|PATH)|BASH_ENV|ENV|IFS|TRACEPARENT", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A script of the scripts directory, or a bare argv: exactly one of `script` and `argv` is set.

    `parameters` become one argument each (see `arguments`), `args` follow as they are.
    """

    script: str | None = None
    argv: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def arguments(self) -> tuple[str, ...]:
        """The arguments after the program: rendered parameters, names sorted, then `args`."""
        return (*render(self.parameters), *self.args)

    def faults(self) -> Iterator[Place]:
        """Each place at which this command could not run, whatever the machine."""
        if (self.script is None) == (not self.argv):
            yield Place("/script", "give exactly one of `script` and `command`")
        if self.argv and not self.argv[0]:
            yield Place("/command/0", "the program's name is empty")
        yield from _nul("/script", self.script or "")
        for index, value in enumerate(self.argv):
            yield from _nul(f"/command/{index}", value)
        for index, value in enumerate(self.args):
            yield from _nul(f"/args/{index}", value)
        for name, parameter in self.parameters.items():
            yield from _parameter_faults(name, parameter)


def render(parameters: Mapping[str, Parameter]) -> Iterator[str]:
    """`{"full": True, "period": "2026-01", "region": ("eu", "us")}` as
    `--full --period=2026-01 --region=eu --region=us`.

    One argument each, so no value can become a flag; names sorted; false and null left out.
    """
    for name, value in sorted(parameters.items()):
        for item in value if isinstance(value, tuple) else (value,):
            if item is True:
                yield f"--{name}"
            elif item is not None and item is not False:
                yield f"--{name}={item}"


def environment_faults(environment: Mapping[str, str]) -> Iterator[Place]:
    """Each name that a job may not set, and each value that no process can hold."""
    for name, value in environment.items():
        pointer = f"/environment/{_escape(name)}"
        if not _ENVIRONMENT_NAME.fullmatch(name):
            yield Place(pointer, "a name is letters, digits and `_`, and does not begin with a digit")
        elif _REFUSED_NAME.fullmatch(name.upper()):
            yield Place(pointer, "this name is reserved: it would change which program runs")
        yield from _nul(pointer, value)


def _parameter_faults(name: str, value: Parameter) -> Iterator[Place]:
    pointer = f"/parameters/{_escape(name)}"
    if not _PARAMETER_NAME.fullmatch(name):
        yield Place(pointer, "a name is lower-case letters, digits, `_` and `-`, and begins with a letter")
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, str):
            yield from _nul(pointer, item)


def _nul(pointer: str, value: str) -> Iterator[Place]:
    if "\0" in value:
        yield Place(pointer, "holds a NUL character, which no argument or variable can carry (execve(2))")
    elif any("\ud800" <= c <= "\udfff" for c in value):
        yield Place(pointer, "holds a lone surrogate, which is no character (RFC 8259, 8.2)")


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")

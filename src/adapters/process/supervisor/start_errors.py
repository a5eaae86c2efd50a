"""Why a program could not be started, in a sentence. Names no directory of the server."""

import errno
import os
from typing import TypedDict

_TOO_MANY = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
FULL = "The machine could not make another process: too many are running, or too little memory is free."

_DIRECTORY = {
    errno.ENOENT: "The working directory does not exist.",
    errno.ENOTDIR: "The working directory is no directory.",
    errno.EACCES: "The working directory may not be entered.",
}
_PROGRAM = {
    errno.ENOENT: "The program {name} does not exist.",
    errno.ENOTDIR: "The program {name} does not exist: a part of its path is no directory.",
    errno.EACCES: "The program {name} is not executable.",
    errno.EISDIR: "The program {name} is a directory.",
    errno.ENOEXEC: "The program {name} is neither a binary of this machine nor names an interpreter (#!).",
    errno.E2BIG: "The arguments and the environment are larger than the system allows.",
    errno.ETXTBSY: "The program {name} is being written at this moment.",
    errno.ELOOP: "The path of the program {name} has too many symbolic links.",
    errno.ENAMETOOLONG: "The path of the program {name} is too long.",
}
_BAD_INTERPRETER = "The interpreter that {name} names in its first line does not exist."
_IS_DIRECTORY = "The program {name} is a directory."
_NOT_ON_PATH = "The program {name} is in no directory of PATH."
_BAD_VALUE = "An argument or a variable holds a NUL character, which none can carry."


class NotStarted(Exception):  # noqa: N818 - errors are called by what happened, as in domain.errors
    """`step` is what failed on the way to the program, `number` its errno."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(step, number)
        self.step = step
        self.number = number


class Facts(TypedDict):
    """Of domain.attempt.Exit."""

    start_error: str
    machine_full: bool


def sentence(program: str, step: str, number: int) -> str:
    if number in _TOO_MANY:
        return FULL
    if step == "value":
        return _BAD_VALUE
    known = {"directory": _DIRECTORY, "program": _PROGRAM}.get(step, {}).get(number)
    if step == "program":
        known = _better(program, number) or known
    text = known or f"The {step} could not be used: {{error}}."
    return text.format(name=os.path.basename(program), error=described(number))


def of_the_machine(number: int) -> Facts:
    """Where not even a supervisor could be made."""
    why = FULL if number in _TOO_MANY else f"The supervisor could not be started: {described(number)}."
    return Facts(start_error=why, machine_full=number in _TOO_MANY | _NO_ROOM)


def of_the_scratch(number: int) -> Facts:
    why = f"The scratch directory could not be made: {described(number)}."
    return Facts(start_error=why, machine_full=number in _NO_ROOM)


def of_the_program(program: str, step: str, number: int) -> Facts:
    """`step` and `number` as in NotStarted."""
    return Facts(start_error=sentence(program, step, number), machine_full=number in _TOO_MANY)


def described(number: int) -> str:
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"


def _better(program: str, number: int) -> str | None:
    """What execve(2) says with the same number of two different things."""
    if os.sep not in program:
        return _NOT_ON_PATH if number in (errno.ENOENT, errno.ENOTDIR) else None
    if number == errno.ENOENT and os.path.exists(program):
        return _BAD_INTERPRETER
    if number == errno.EACCES and os.path.isdir(program):
        return _IS_DIRECTORY
    return None

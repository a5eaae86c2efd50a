"""The command `etl`: its table of commands, and how every failure is told."""

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from cyclopts import App, CycloptsError, UnknownOptionError

from domain.errors import EtlError, WrongSetting
from entrypoints.cli import flags, pid_one, standard_streams
from entrypoints.cli.failure import BAD_USAGE, WRONG, Failure, bad_usage
from entrypoints.cli.terminal import say
from entrypoints.version import VERSION

INTERRUPTED: Final = 130
WRITERS: Final = frozenset({"serve", "api", "worker", "migrate", "db", "demo"})
"""They write more than their answer."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
COMMANDS: Final = {
    "serve": "server:serve",
    "api": "server:api",
    "worker": "server:worker",
    "migrate": "server:migrate",
    "db": "db:app",
    "demo": "demo:demo",
    "run": "run:run",
    "ls": "jobs:ls",
    "show": "jobs:show",
    "attempts": "jobs:attempts",
    "logs": "logs:logs",
    "cancel": "jobs:cancel",
    "retry": "jobs:retry",
    "explain": "jobs:explain",
    "queues": "queues:app",
    "workers": "workers:app",
    "keys": "keys:app",
    "doctor": "doctor:doctor",
    "config": "config:app",
    "openapi": "openapi:openapi",
}
"""Module and name, imported when they run: `etl ls` does not pay for a server's imports."""


def application(wanted: str | None) -> App:
    """With the one command that is `wanted`, or with all of them for the help page."""
    app = App(
        name="etl",
        version=VERSION,
        help="Runs a team's scripts: submit, follow, cancel, retry.",
        help_format="plaintext",
        help_epilogue="`etl COMMAND --help` says more; `etl config show` lists the settings.",
    )
    for name in [wanted] if wanted in COMMANDS else COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        app.command(getattr(import_module(f"entrypoints.cli.{module}"), attribute), name=name)
    return app


def main() -> None:
    standard_streams.stand_in_for_closed()
    if os.getpid() == 1:
        pid_one.stand_by()
    sys.exit(status_of(sys.argv[1:]))


def status_of(argv: Sequence[str]) -> int:
    """Runs one command; 0 done, 1 failed, 2 asked wrongly, or what `etl run` says of a script."""
    try:
        rest = flags.take_settings(argv)
        if not (rest and rest[0] in flags.SERVER_COMMANDS):
            _require_text(rest)
        app = application(rest[0] if rest else None)
        result = app(rest, exit_on_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:  # cyclopts has told it
        if argv[0] == "run" and isinstance(error, UnknownOptionError):
            say("What is meant for the script comes after `--`: etl run SCRIPT -- ARGS")
        return BAD_USAGE
    except Failure as failure:
        say(failure.message)
        return failure.status
    except EtlError as error:
        say(error.detail)
        return BAD_USAGE if isinstance(error, WrongSetting) else WRONG
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        standard_streams.give_output_up()  # `etl logs ID | head`: the reader has enough
        return WRONG
    except OSError as error:
        if error.filename is not None or error.errno not in FULL or WRITERS.intersection(argv[:1]):
            raise
        standard_streams.give_output_up()
        say(f"The output cannot be written: {error.strerror}.")
        return WRONG
    return result if isinstance(result, int) else 0


def _require_text(argv: Sequence[str]) -> None:
    """Of what goes to a server; paths of this machine may be any bytes."""
    for text in argv:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise bad_usage(f"{text!r} is not UTF-8.") from None


if __name__ == "__main__":
    main()

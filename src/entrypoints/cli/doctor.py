"""`etl doctor`."""

import asyncio
from dataclasses import asdict
from pathlib import Path

from entrypoints.cli import flags
from entrypoints.cli.failure import WRONG
from entrypoints.cli.options import Flag
from entrypoints.cli.terminal import print_json


def doctor(*, fix: Flag = False, config: Path | None = None, json: Flag = False) -> int:
    """Check what this installation stands on: one line each, with the cure. Exits 1 if something is wrong.

    Parameters
    ----------
    fix
        Mend what contradicts itself in the database and in the logs; each job says so in its events.
    config
        The settings file; without it etl.toml of the current directory.
    json
        As JSON.

    """
    from entrypoints.doctor import examine  # noqa: PLC0415 - it costs a second, which `etl ls` must not pay

    findings = asyncio.run(examine(flags.settings(config), fix=fix))
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "fixed" if finding.fixed else "ok   " if finding.cure is None else "WRONG"
            print(f"{mark} {finding.check}: {finding.seen}")  # noqa: T201 - the command's answer
            if finding.cure is not None:
                print(f"      → {finding.cure}")  # noqa: T201 - as above
    return WRONG if any(finding.cure is not None for finding in findings) else 0

"""`etl config show`."""

from pathlib import Path

from cyclopts import App

from entrypoints.cli.flags import loaded
from entrypoints.cli.options import Flag
from entrypoints.cli.terminal import print_json, print_table
from entrypoints.settings.values import all_settings, show

app = App(name="config", help="Look at the settings.", version_flags=[])


@app.command(name="show")
def show_(*, config: Path | None = None, json: Flag = False) -> None:
    """Show the settings in force and where each comes from; secrets are hidden.

    Parameters
    ----------
    config
        The settings file; without it etl.toml of the current directory.
    json
        As JSON.

    """
    found = loaded(config)
    rows = [(s.key, show(s, s.of(found.settings)), found.origins[s.key], s.meaning) for s in all_settings()]
    titles = ("setting", "value", "from", "meaning")
    if json:
        return print_json([dict(zip(titles, row, strict=True)) for row in rows])
    return print_table(titles, rows)

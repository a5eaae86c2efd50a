"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative="")]
Several = Annotated[tuple[str, ...], Parameter(negative="")]
Id = Annotated[str, Parameter(name="ID")]
Config = Annotated[
    Path | None, Parameter(help="the settings file; without it etl.toml of the current directory")
]

"""Which release this is. Also without an installed distribution, for instance from a checkout."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _version() -> str:
    try:
        return version("etl-orchestrator")
    except PackageNotFoundError:
        return "0+checkout"


VERSION: Final = _version()

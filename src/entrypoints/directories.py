"""The directories that settings name."""

from pathlib import Path

from domain.errors import WrongSetting


def make_directory(path: Path, setting: str, mode: int = 0o777) -> None:
    """With those above it; one that is there stays as it is. Raises WrongSetting."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise WrongSetting(f"{setting}: {path} cannot be made: {error.strerror}.") from None

"""What can be set, where it is read from, and what each mistake is told."""

from entrypoints.settings.addresses import is_loopback
from entrypoints.settings.load import Loaded, load
from entrypoints.settings.schema import Settings

__all__ = ["Loaded", "Settings", "is_loopback", "load"]

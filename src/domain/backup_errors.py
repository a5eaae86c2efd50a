"""How a backup says no: told by `etl db` on the machine itself, so these may name a path."""

from domain.errors import Conflict, Invalid, NotFound


class BackupUnusable(Invalid):
    """The file is no whole backup of `etl db dump`, cannot be read or written, or needs a newer release."""

    code = "backup-unusable"
    title = "The backup cannot be used"


class DatabaseNotEmpty(Conflict):
    """A backup is restored into an empty database only; this one has jobs, keys or workers."""

    code = "database-not-empty"
    title = "The database is in use"


class NothingToDump(NotFound):
    """The database has nothing of ours in it. Look at `database.url` and `data.directory`."""

    code = "nothing-to-dump"
    title = "There is nothing to back up"

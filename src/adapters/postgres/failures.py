"""What the database's errors mean to the product."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors
from sqlalchemy import exc

from domain.errors import DatabaseUnavailable, IllegalTransition

READ_ONLY: Final = "The database is read-only at the moment, so it accepts no changes."
GUARD: Final = "ETL01"
"""SQLSTATE of the triggers that keep final jobs as they are."""

_REPEATABLE: Final = (errors.SerializationFailure, errors.DeadlockDetected)
# A primary that became read-only (25006), a transaction that the server ended (25P03, 25P04), a
# connection that was closed under us: each passes when the server is itself again.
_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
    errors.InFailedSqlTransaction,
)


def is_repeatable(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it is simply run again."""
    return isinstance(_cause(error), _REPEATABLE)


@contextmanager
def told_in_our_words() -> Iterator[None]:
    """Turns every failure to reach or use the server into DatabaseUnavailable, without SQL or URL."""
    try:
        yield
    except exc.TimeoutError as error:
        raise DatabaseUnavailable("All connections to the database are in use; try again.") from error
    except (exc.DBAPIError, psycopg.Error, OSError, TimeoutError) as error:
        cause = _cause(error)
        if isinstance(cause, psycopg.Error) and cause.sqlstate == GUARD:
            raise IllegalTransition("A final job never changes.") from error
        if _is_away(error, cause):
            raise DatabaseUnavailable(_sentence(cause)) from error
        raise


def _cause(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error


def _is_away(error: BaseException, cause: BaseException) -> bool:
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(cause, (*_AWAY, OSError, TimeoutError))


def _sentence(cause: BaseException) -> str:
    match cause:
        case errors.DiskFull():
            return "The database's disk is full, so it accepts no changes."
        case errors.ReadOnlySqlTransaction():
            return READ_ONLY
        case errors.TooManyConnections():
            return "The database has no connection left for this service."
        case errors.QueryCanceled() | errors.LockNotAvailable():
            return "The database did not answer in time."
        case errors.InvalidPassword() | errors.InvalidAuthorizationSpecification():
            return "The database refuses this service's user or password."
        case _:
            return "The database cannot be reached at the moment."

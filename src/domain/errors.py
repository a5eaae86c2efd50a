"""Every way in which the product says no. One class an error, seven kinds.

The kind decides the HTTP status (entrypoints/http/problems.py), the class gives `code` and `title`,
its docstring is the page under /problems/CODE, and `detail` is the sentence for this one occasion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Place:
    """Where the input is wrong. `pointer` is a JSON Pointer (RFC 6901) or the name of a parameter."""

    pointer: str
    detail: str


class EtlError(Exception):
    """An expected failure, told in the product's words. `detail` never holds a stack, a path or SQL."""

    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str, places: Sequence[Place] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.places = tuple(places)


# -- the seven kinds ---------------------------------------------------------------------------------


class NotFound(EtlError):  # noqa: N818 - kinds are named as the caller hears them
    """What was asked for does not exist, or is not to be seen with this key."""

    code = "not-found"
    title = "Not found"


class Conflict(EtlError):  # noqa: N818 - as above
    """The state of the thing forbids what was asked."""

    code = "conflict"
    title = "The state forbids it"


class Invalid(EtlError):  # noqa: N818 - as above
    """The request is well formed and cannot be done as it stands. `errors` names each place and the cure."""

    code = "invalid"
    title = "The request cannot be done as it stands"


class Forbidden(EtlError):  # noqa: N818 - as above
    """The caller is known, and may not do this. The detail names the missing scope."""

    code = "forbidden"
    title = "Not allowed"


class Unauthenticated(EtlError):  # noqa: N818 - as above
    """No valid credential came with the request. Send `Authorization: Bearer TOKEN`."""

    code = "unauthenticated"
    title = "Who are you?"


class Overloaded(EtlError):  # noqa: N818 - as above
    """Too much at once from this caller. Try again after the seconds in `Retry-After`."""

    code = "overloaded"
    title = "Too many requests"
    retry_after_seconds: float = 5.0


class Unavailable(EtlError):  # noqa: N818 - as above
    """Something that this request needs is away, most often the database. Nothing was changed; try again."""

    code = "unavailable"
    title = "Not available at the moment"


# -- the errors ---------------------------------------------------------------------------------------


class JobNotFound(NotFound):
    """No job has this id. It may have been deleted by retention (`retention.jobs`)."""

    code = "job-not-found"
    title = "No such job"


class AttemptNotFound(NotFound):
    """The job exists and has no attempt of this number yet."""

    code = "attempt-not-found"
    title = "No such attempt"


class LogNotFound(NotFound):
    """The attempt exists and its log does not: it never started, or retention has deleted it."""

    code = "log-not-found"
    title = "No log"


class LogGone(NotFound):
    """The attempt wrote a log, and retention has deleted it (`retention.logs`, `retention.logs_size`)."""

    code = "log-gone"
    title = "The log is gone"


class LogElsewhere(NotFound):
    """The attempt ran on a machine whose log directory this server does not see. The detail names it.
    Let both have one `logs.directory` on a shared disk, or ask a server that runs on that machine.
    """

    code = "log-elsewhere"
    title = "The log lies on another machine"


class QueueNotFound(NotFound):
    """No queue has this name. A queue exists from the first job that names it."""

    code = "queue-not-found"
    title = "No such queue"


class WorkerNotFound(NotFound):
    """No live worker has this id."""

    code = "worker-not-found"
    title = "No such worker"


class KeyNotFound(NotFound):
    """No API key has this id."""

    code = "key-not-found"
    title = "No such API key"


class JobIsFinal(Conflict):
    """The job has ended; a final state never changes. Submit a new job, or retry this one."""

    code = "job-is-final"
    title = "The job has ended"


class JobIsNotFinal(Conflict):
    """The job is still queued or running, so there is nothing to retry. Cancel it first, or wait."""

    code = "job-is-not-final"
    title = "The job has not ended"


class IllegalTransition(Conflict):
    """The state machine has no such step (docs/state-machine.md)."""

    code = "illegal-transition"
    title = "The job's state forbids it"


class InvalidJob(Invalid):
    """A job request that can never run as it stands."""

    code = "invalid-job"
    title = "This job cannot run"


class UnknownScript(Invalid):
    """The script is not a regular file beneath the scripts directory."""

    code = "unknown-script"
    title = "No such script"


class InvalidCursor(Invalid):
    """The cursor did not come from this service. Begin again without one."""

    code = "invalid-cursor"
    title = "Unknown cursor"


class IdempotencyKeyReused(Invalid):
    """The Idempotency-Key came before with another body. Use a new key for a new request."""

    code = "idempotency-key-reused"
    title = "The key belongs to another request"


class RateExceeded(Overloaded):
    """More requests than `http.rate_limit`, or more failed logins from your address. See `Retry-After`."""

    code = "rate-exceeded"
    title = "Too many requests in a short time"

    def __init__(self, detail: str, retry_after_seconds: float) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class CommandsNotAllowed(Forbidden):
    """`command` is off on this server: set `scripts.allow_commands` to accept any argv."""

    code = "commands-not-allowed"
    title = "Commands are off"


class MissingScope(Forbidden):
    """The key is valid and lacks the scope that this call needs."""

    code = "missing-scope"
    title = "The key lacks a scope"


class DatabaseUnavailable(Unavailable):
    """The database does not answer. Send it again, with the same `Idempotency-Key`: it may have been done."""

    code = "database-unavailable"
    title = "The database does not answer"


class TokenKeysUnavailable(Unavailable):
    """The keys of the tokens' issuer cannot be fetched at the moment (`http.jwt.jwks_url`). Try again."""

    code = "token-keys-unavailable"
    title = "Tokens cannot be checked at the moment"


class DiskNearlyFull(Unavailable):
    """Less disk is free than `retention.disk_floor` demands: no attempt is started until there is room."""

    code = "disk-nearly-full"
    title = "The disk is nearly full"


class MachineFull(Unavailable):
    """This machine could make no process a moment ago, so no attempt is started on it for some seconds."""

    code = "machine-full"
    title = "The machine is full"


class DiskUnavailable(Unavailable):
    """The disk that holds the logs does not answer, so no attempt is started."""

    code = "disk-unavailable"
    title = "The disk does not answer"


class WrongSetting(Invalid):
    """A setting is unknown or has a value that cannot be used. The start is refused."""

    code = "wrong-setting"
    title = "A setting is wrong"


class DatabaseNotDurable(WrongSetting):
    """`fsync` or `full_page_writes` of the database is off: it could lose accepted jobs. Turn it on."""

    code = "database-not-durable"
    title = "The database does not keep what it has committed"


# -- of the embedded database: told at the start, on the machine itself, so these may name a path --------


class DataDirectoryInUse(Conflict):
    """Another process keeps the database of this data directory. Stop it, or use another `data.directory`."""

    code = "data-directory-in-use"
    title = "The data directory is in use"


class DataDirectoryUnusable(Invalid):
    """The data directory cannot be used as it stands. The start is refused, and nothing in it was changed."""

    code = "data-directory-unusable"
    title = "The data directory cannot be used"


class DatabaseDidNotStart(Unavailable):
    """The embedded PostgreSQL did not start. What it said is in `postgres.log`."""

    code = "database-did-not-start"
    title = "The database did not start"

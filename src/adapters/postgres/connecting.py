"""One connection to PostgreSQL that can never wait for ever."""

import asyncio
import os
import socket
from typing import Any, Final, LiteralString, TypeVar

from psycopg import AsyncConnection, AsyncCursor, ConnectionInfo, OperationalError, ProgrammingError
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import namedtuple_row

from adapters.postgres.pulse import Pulse
from application.asking.urgency import is_urgent
from domain.errors import WrongSetting

Result = TypeVar("Result")

CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 15.0
"""The client's deadline for one answer. A proxy that stalls keeps TCP alive, so neither keepalives
nor TCP_USER_TIMEOUT notice it: only a timer of our own does."""

LOOK_SECONDS: Final = 60.0
"""psycopg's own 0.1 s let a thread heed Ctrl-C. In an event loop an interruption ends the wait by itself, and
ten looks a second were a third of the processor time of an idle server.
"""

SESSION: Final = {
    "TimeZone": "UTC",
    "statement_timeout": "12s",
    "lock_timeout": "8s",
    # A worker that is stopped between two statements must not keep its locks.
    "idle_in_transaction_session_timeout": "30s",
    # The server's side of a connection whose machine vanished would stay for hours: a slot of
    # max_connections each, and a listener for which notifications pile up.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
    # Each of our statements names its rows by key or by the order of an index. A plan that is kept from
    # when a table was empty must do so too: the queue is empty at every start, and then it is not.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


class PatientConnection(AsyncConnection[Any]):
    """Waits for each answer up to `answer_seconds`, then shuts its socket down: whoever waits gets
    OperationalError, as if the server had gone. (Cancelling the task instead would wait again, for
    the server to confirm the cancellation.)
    """

    answer_seconds: float = ANSWER_SECONDS
    pulse: Pulse | None = None
    """Asked when somebody waits urgently for an answer that is late."""

    _timer: asyncio.TimerHandle | None = None
    _until: float | None = None

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._cursors: dict[LiteralString, AsyncCursor[Any]] = {}

    async def wait(
        self,
        gen: PQGen[Result],
        interval: float = LOOK_SECONDS,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's own signature
    ) -> Result:
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self.answer_seconds
        # One timer serves many answers: one for each took a twentieth of a worker's time.
        if self._timer is None or self._timer.when() > self._until:
            self._set_timer(loop)
        doubt = self.pulse.doubted(self._hang_up) if self.pulse is not None and is_urgent() else None
        try:
            return await super().wait(gen, interval, timeout)
        finally:
            self._until = None
            if doubt is not None:
                doubt.end()

    def kept_cursor(self, statement: LiteralString) -> AsyncCursor[Any]:
        """The same for this statement each time, with rows as named tuples: one that is new, or that another
        statement has used, takes a quarter of a short statement's time to learn of its types.
        """
        cursor = self._cursors.get(statement)
        if cursor is None or cursor.closed:
            cursor = self._cursors[statement] = self.cursor(row_factory=namedtuple_row, binary=True)
        return cursor

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._until is not None:
            self._timer = loop.call_at(self._until, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._until is not None and self._until <= loop.time():
            self._hang_up()
        else:
            self._set_timer(loop)

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 - psycopg's own signature
        """A server without a pulse is not asked to cancel anything: that would take `timeout`, too."""
        if self.pulse is not None and self.pulse.is_lost:
            self._hang_up()
        else:
            await super().cancel_safe(timeout=timeout)

    def _hang_up(self) -> None:
        try:
            twin = socket.socket(fileno=os.dup(self.pgconn.socket))
        except (OSError, OperationalError):
            return
        with twin:
            twin.shutdown(socket.SHUT_RDWR)


def conninfo(url: str, **overrides: str | int) -> str:
    """`url` with our limits on every wait; options that it states itself are kept, and win.

    Raises WrongSetting, without libpq's sentence: that quotes the place, and the password with it.
    """
    try:
        given = conninfo_to_dict(url)
    except ProgrammingError:
        raise WrongSetting(
            "database.url: cannot be read: write postgresql://USER:PASSWORD@HOST:PORT/NAME, and in USER and "
            "PASSWORD each of : / @ % # ? as %3A %2F %40 %25 %23 %3F."
        ) from None
    ours = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    options = f"{ours} {given.pop('options', None) or ''}".strip()
    defaults: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "etl",
        "client_encoding": "UTF8",  # whatever PGCLIENTENCODING and the database say
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
    return make_conninfo("", **{**defaults, **given, "options": options, **overrides})


def require_utf8(info: ConnectionInfo) -> None:
    """Asks the server nothing. Raises WrongSetting: in any other encoding some job could not be stored."""
    encoding = info.parameter_status("server_encoding")
    if encoding not in {"UTF8", None}:  # a pooler may keep it to itself
        raise WrongSetting(
            f"database.url: the database {info.dbname} has the encoding {encoding}, which cannot hold every "
            "text. Make one that can: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )

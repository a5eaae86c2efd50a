"""What callers see of logs, queues, workers, keys and health, mapped field by field."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from domain.access import ApiKey, Scope
from domain.log import Line, Stream
from domain.queue import Queue
from domain.worker import Worker, WorkerState
from entrypoints.http.view_types import Cursor, Id, When


class LineView(Struct, kw_only=True, omit_defaults=True):
    """One line of a log."""

    line: Annotated[int, Meta(description="Counts from 1 within the attempt.", examples=[17])]
    at: Annotated[When, Meta(description="When it was written.")]
    stream: Annotated[Stream, Meta(description="Where it came from.", examples=["stdout"])]
    text: Annotated[str, Meta(description="Decoded for display.", examples=["loaded 1200 rows"])]
    cursor: Annotated[str, Meta(description="Pass it as `after` to go on behind it.", examples=["1.4096"])]
    partial: Annotated[bool, Meta(description="It goes on in the next line.", examples=[True])] = False


class QueueView(Struct, kw_only=True):
    """A queue, and what is in it now."""

    name: Annotated[str, Meta(description="Its name.", examples=["default"])]
    slots: Annotated[int | None, Meta(description="At most so many run; null: no limit.", examples=[4])]
    paused_at: Annotated[When, Meta(description="Since when nothing is claimed from it.")]
    paused_by: Annotated[str | None, Meta(description="Who paused it.", examples=["admin"])]
    waiting: Annotated[int, Meta(description="Could run but for a limit or a worker.", examples=[3])]
    scheduled: Annotated[int, Meta(description="Wait for their time.", examples=[0])]
    running: Annotated[int, Meta(description="Run now.", examples=[2])]
    oldest_waiting_since: Annotated[When, Meta(description="Since when the oldest could have run.")]


class QueuePage(Struct, kw_only=True):
    """Queues, by name."""

    items: Annotated[list[QueueView], Meta(description="The queues.")]
    next_cursor: Cursor


class WorkerView(Struct, kw_only=True):
    """One process life of a worker."""

    id: Id
    host: Annotated[str, Meta(description="Its machine.", examples=["etl-1"])]
    pid: Annotated[int, Meta(description="Its process there.", examples=[42])]
    version: Annotated[str, Meta(description="Of the software.", examples=["0.1.0"])]
    state: Annotated[WorkerState, Meta(description="What it does.", examples=["up"])]
    slots: Annotated[int, Meta(description="Attempts that it runs at once.", examples=[4])]
    running: Annotated[int, Meta(description="Attempts that it runs now.", examples=[1])]
    queues: Annotated[list[str], Meta(description="That it serves; empty: all.", examples=[["default"]])]
    labels: Annotated[dict[str, str], Meta(description="As configured.", examples=[{"zone": "a"}])]
    started_at: Annotated[When, Meta(description="When it came.")]
    seen_at: Annotated[When, Meta(description="When it last renewed its lease.")]


class WorkerPage(Struct, kw_only=True):
    """Living workers, newest first."""

    items: Annotated[list[WorkerView], Meta(description="The workers.")]
    next_cursor: Cursor


class KeyView(Struct, kw_only=True):
    """An API key without its secret."""

    id: Id
    name: Annotated[str, Meta(description="Who uses it.", examples=["airflow-migration"])]
    prefix: Annotated[str, Meta(description="The secret's first characters.", examples=["etl_a1B2c3D4"])]
    scopes: Annotated[list[Scope], Meta(description="What it may do.", examples=[["jobs:read"]])]
    created_at: Annotated[When, Meta(description="When it was issued.")]
    created_by: Annotated[str, Meta(description="By whom.", examples=["admin"])]
    expires_at: Annotated[When, Meta(description="When it stops to be valid; null: never.")]
    last_used_at: Annotated[When, Meta(description="To the minute.")]


class IssuedKeyView(KeyView, kw_only=True):
    """A new API key. The secret is shown here alone, and never again."""

    secret: Annotated[str, Meta(description="The secret.", examples=["etl_…"])]


class KeyPage(Struct, kw_only=True):
    """API keys, newest first."""

    items: Annotated[list[KeyView], Meta(description="The keys.")]
    next_cursor: Cursor


class HealthView(Struct, kw_only=True):
    """Whether this process can do its work."""

    status: Annotated[str, Meta(description="`ok` or `failing`.", examples=["ok"])]
    checks: Annotated[dict[str, str], Meta(description="By name.", examples=[{"database": "ok"}])]


def line_view(line: Line) -> LineView:
    return LineView(
        line=line.number,
        at=line.at,
        stream=line.stream,
        text=line.text,
        cursor=line.cursor,
        partial=line.partial,
    )


def queue_view(queue: Queue) -> QueueView:
    return QueueView(
        name=queue.name,
        slots=queue.slots,
        paused_at=queue.paused_at,
        paused_by=queue.paused_by,
        waiting=queue.waiting,
        scheduled=queue.scheduled,
        running=queue.running,
        oldest_waiting_since=queue.oldest_waiting_since,
    )


def worker_view(worker: Worker) -> WorkerView:
    return WorkerView(
        id=str(worker.id),
        host=worker.host,
        pid=worker.pid,
        version=worker.version,
        state=worker.state,
        slots=worker.slots,
        running=worker.running,
        queues=list(worker.queues),
        labels=dict(worker.labels),
        started_at=worker.started_at,
        seen_at=worker.seen_at,
    )


def key_view(key: ApiKey) -> KeyView:
    return KeyView(
        id=str(key.id),
        name=key.name,
        prefix=key.prefix,
        scopes=sorted(key.scopes),
        created_at=key.created_at,
        created_by=key.created_by,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
    )


def issued_key_view(key: ApiKey, secret: str) -> IssuedKeyView:
    shown = msgspec.structs.asdict(key_view(key))
    return IssuedKeyView(**shown, secret=secret)

"""`etl workers`."""

from typing import Any

from cyclopts import App

from entrypoints.cli.client import Client
from entrypoints.cli.options import Flag, Id
from entrypoints.cli.terminal import instant, print_list

app = App(name="workers", help="List workers, drain them.", version_flags=[])


@app.default
@app.command
def ls(*, json: Flag = False) -> None:
    """List workers that live.

    Parameters
    ----------
    json
        As JSON.

    """
    titles = ("id", "host", "pid", "state", "slots", "running", "queues", "last seen")
    print_list(Client.here().items("/workers"), titles, _row, as_json=json)


def _row(worker: dict[str, Any]) -> tuple[object, ...]:
    return (
        worker["id"],
        worker.get("host"),
        worker.get("pid"),
        worker.get("state"),
        worker.get("slots"),
        worker.get("running"),
        ",".join(worker.get("queues") or ()) or "all",
        instant(worker.get("seen_at")),
    )


@app.command
def drain(worker_id: Id, /) -> None:
    """Let a worker end what it has, and claim nothing more.

    Parameters
    ----------
    worker_id
        The worker, or the beginning of its id.

    """
    client = Client.here()
    client.call("POST", f"/workers/{client.id_in('/workers', worker_id, 'worker')}/drain")

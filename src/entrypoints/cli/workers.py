"""`etl workers`."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from entrypoints.cli.client import Client
from entrypoints.cli.terminal import instant, print_json, print_table

Flag = Annotated[bool, Parameter(negative="")]
app = App(name="workers", help="List workers, drain them.", version_flags=[])


@app.default
def ls(*, json: Flag = False) -> None:
    """List workers that live.

    Parameters
    ----------
    json
        As JSON.

    """
    found = list(Client.here().items("/workers"))
    if json:
        return print_json(found)
    titles = ("id", "host", "pid", "state", "slots", "running", "queues", "last seen")
    return print_table(titles, (_row(worker) for worker in found))


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
def drain(worker_id: Annotated[str, Parameter(name="ID")]) -> None:
    """Let a worker end what it has, and claim nothing more.

    Parameters
    ----------
    worker_id
        The worker, or the beginning of its id.

    """
    client = Client.here()
    client.call("POST", f"/workers/{client.id_in('/workers', worker_id, 'worker')}/drain")

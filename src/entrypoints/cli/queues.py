"""`etl queues`."""

from typing import Any
from urllib.parse import quote

from cyclopts import App

from entrypoints.cli.client import Client
from entrypoints.cli.failure import bad_usage
from entrypoints.cli.options import Flag
from entrypoints.cli.terminal import instant, print_list

app = App(name="queues", help="List queues, pause and resume them, limit them.", version_flags=[])


@app.default
@app.command
def ls(*, json: Flag = False) -> None:
    """List queues with what is in them.

    Parameters
    ----------
    json
        As JSON.

    """
    titles = ("queue", "slots", "waiting", "scheduled", "running", "oldest waits since", "paused by")
    print_list(Client.here().items("/queues"), titles, _row, as_json=json)


def _row(queue: dict[str, Any]) -> tuple[object, ...]:
    return (
        queue["name"],
        queue.get("slots"),
        queue.get("waiting"),
        queue.get("scheduled"),
        queue.get("running"),
        instant(queue.get("oldest_waiting_since")) or None,
        queue.get("paused_by"),
    )


@app.command
def pause(name: str, /) -> None:
    """Claim nothing more from this queue; what runs goes on."""
    Client.here().call("POST", f"/queues/{quote(name, safe='')}/pause")


@app.command
def resume(name: str, /) -> None:
    """Claim from this queue again."""
    Client.here().call("POST", f"/queues/{quote(name, safe='')}/resume")


@app.command(name="set")
def set_(name: str, /, *, slots: str) -> None:
    """Limit how many jobs of this queue run at once, over all workers.

    Parameters
    ----------
    name
        The queue.
    slots
        A number, or `none` for no limit.

    """
    if slots != "none" and not slots.isdecimal():
        raise bad_usage(f"--slots {slots}: write a number, or none.")
    body = {"slots": None if slots == "none" else int(slots)}
    Client.here().call("PATCH", f"/queues/{quote(name, safe='')}", body=body)

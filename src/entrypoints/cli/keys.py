"""`etl keys`."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from entrypoints.cli import request
from entrypoints.cli.client import Client
from entrypoints.cli.options import Flag, Id
from entrypoints.cli.terminal import instant, print_json, print_list, say

app = App(name="keys", help="Issue, list and revoke API keys.", version_flags=[])


@app.command
def issue(
    *,
    name: str,
    scope: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)],
    expires: str | None = None,
    json: Flag = False,
) -> None:
    """Issue a key. Its secret is printed on stdout, this once.

    Parameters
    ----------
    name
        Who uses it, as it will stand in every job's record.
    scope
        May be repeated: jobs:read, jobs:submit, jobs:command, jobs:cancel, logs:read, queues:write,
        workers:write, keys:write, metrics:read, or admin, which is all.
    expires
        After this time, such as 90d; without it never.
    json
        Key and secret as JSON.

    """
    body = {"name": name, "scopes": list(scope), "expires_at": request.moment(expires, "--expires")}
    issued = Client.here().call("POST", "/keys", body=request.without_none(body))
    if json:
        return print_json(issued)
    say(f"key {issued['id']} for {issued['name']}: this is the only time that its secret is shown")
    return print(issued["secret"])  # noqa: T201 - the command's answer


@app.command
def ls(*, json: Flag = False) -> None:
    """List keys, without their secrets.

    Parameters
    ----------
    json
        As JSON.

    """
    titles = ("id", "name", "prefix", "scopes", "expires", "last used")
    print_list(Client.here().items("/keys"), titles, _row, as_json=json)


def _row(key: dict[str, Any]) -> tuple[object, ...]:
    expires = instant(key.get("expires_at")) or "never"
    used = instant(key.get("last_used_at")) or "never"
    return key["id"], key["name"], key.get("prefix"), ",".join(key.get("scopes") or ()), expires, used


@app.command
def revoke(key_id: Id, /) -> None:
    """Revoke a key: it opens nothing from now on.

    Parameters
    ----------
    key_id
        The key, or the beginning of its id.

    """
    client = Client.here()
    client.call("DELETE", f"/keys/{client.id_in('/keys', key_id, 'key')}")

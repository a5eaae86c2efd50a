"""`etl ls`, `show`, `attempts`, `cancel`, `retry`, `explain`."""

from typing import Any

from entrypoints.cli import request
from entrypoints.cli.client import Client
from entrypoints.cli.failure import Failure, bad_usage
from entrypoints.cli.options import Flag, Id, Several
from entrypoints.cli.terminal import instant, print_json, print_list, print_record, say


def ls(
    *,
    state: Several = (),
    queue: str | None = None,
    script: str | None = None,
    label: Several = (),
    limit: int = 50,
    json: Flag = False,
) -> None:
    """List jobs, newest first.

    Parameters
    ----------
    state
        queued, running, succeeded, failed or cancelled; may be repeated.
    queue
        Of this queue only.
    script
        Of this script only.
    label
        NAME=VALUE; may be repeated, and all must match.
    limit
        At most so many.
    json
        As JSON.

    """
    if limit < 1:
        raise bad_usage(f"--limit {limit}: write a number from 1 on.")
    labels = [":".join(pair) for text in label for pair in request.pairs([text], "--label").items()]
    params = {"state": list(state), "queue": queue, "script": script, "label": labels}
    titles = ("id", "state", "attempt", "queue", "submitted", "program")
    print_list(Client.here().items("/jobs", params, limit), titles, _row, as_json=json)


def _row(job: dict[str, Any]) -> tuple[object, ...]:
    tries = f"{job['attempt']}/{job['retry']['max_attempts']}"
    return job["id"], job["state"], tries, job["queue"], instant(job["submitted_at"]), program(job)


def program(job: dict[str, Any]) -> str:
    """What a job runs, in one line."""
    shown = [job["script"]] if job.get("script") else list(job.get("command") or ())
    given = [f"--{name}={value}" for name, value in (job.get("parameters") or {}).items()]
    return " ".join([*shown, *given, *(job.get("args") or ())])


def show(job_id: Id, /, *, json: Flag = False) -> None:
    """Show one job.

    Parameters
    ----------
    job_id
        The job, or the beginning of its id.
    json
        As JSON.

    """
    client = Client.here()
    job = client.call("GET", f"/jobs/{client.full_id(job_id)}")
    if json:
        return print_json(job)
    return show_job(job)


def show_job(job: dict[str, Any]) -> None:
    """The record of a job, for a person."""
    reason, usage = job.get("reason") or {}, job.get("usage") or {}
    print_record(
        [
            ("id", job["id"]),
            ("state", job["state"]),
            ("program", program(job)),
            ("environment", job.get("environment")),
            ("queue", job["queue"]),
            ("labels", job.get("labels")),
            ("submitted", f"{instant(job['submitted_at'])} by {job['submitted_by']}"),
            ("started", instant(job.get("started_at"))),
            ("finished", instant(job.get("finished_at"))),
            ("attempt", f"{job['attempt']} of {job['retry']['max_attempts']}"),
            ("worker", job.get("worker")),
            ("retry of", job.get("retry_of")),
            ("waiting for", job.get("waiting_for")),
            ("outcome", job.get("outcome")),
            ("reason", reason.get("message")),
            *(("", line) for line in reason.get("last_lines") or ()),
            ("took", _took(usage)),
        ]
    )


def _took(usage: dict[str, Any]) -> str | None:
    if not usage:
        return None
    memory = usage["max_rss_bytes"] / 2**20
    return f"{usage['wall_seconds']:.2f} s, {usage['cpu_seconds']:.2f} s of CPU, {memory:.0f} MiB"


def attempts(job_id: Id, /, *, json: Flag = False) -> None:
    """List every try of a job.

    Parameters
    ----------
    job_id
        The job, or the beginning of its id.
    json
        As JSON.

    """
    client = Client.here()
    found = client.items(f"/jobs/{client.full_id(job_id)}/attempts")
    titles = ("attempt", "outcome", "started", "finished", "worker", "reason")
    print_list(found, titles, _attempt_row, as_json=json)


def _attempt_row(attempt: dict[str, Any]) -> tuple[object, ...]:
    return (
        attempt["number"],
        attempt.get("outcome") or "running",
        instant(attempt.get("started_at")),
        instant(attempt.get("finished_at")),
        attempt.get("worker"),
        (attempt.get("reason") or {}).get("message"),
    )


def cancel(*job_ids: Id) -> int:
    """Cancel jobs: those that wait at once, those that run as soon as their processes are gone.

    Parameters
    ----------
    job_ids
        The jobs, or the beginnings of their ids.

    """
    if not job_ids:
        raise bad_usage("Name at least one job.")
    client, status = Client.here(), 0
    for given in job_ids:
        try:
            job = client.call("POST", f"/jobs/{client.full_id(given)}/cancel")
        except Failure as failure:
            say(failure.message)
            status = failure.status
        else:
            print(job["id"], "cancelled" if job["state"] == "cancelled" else "cancelling")  # noqa: T201 - answer
    return status


def retry(job_id: Id, /, *, json: Flag = False) -> None:
    """Submit a job that has ended once more, as a new job; prints its id.

    Parameters
    ----------
    job_id
        The job, or the beginning of its id.
    json
        Print the new job as JSON.

    """
    client = Client.here()
    job = client.call("POST", f"/jobs/{client.full_id(job_id)}/retry")
    if json:
        return print_json(job)
    return print(job["id"])  # noqa: T201 - the command's answer


def explain(job_id: Id, /) -> None:
    """Say in a sentence why a job waits, what it does, or how it ended.

    Parameters
    ----------
    job_id
        The job, or the beginning of its id.

    """
    client = Client.here()
    print(explanation(client.call("GET", f"/jobs/{client.full_id(job_id)}")))  # noqa: T201 - answer


def explanation(job: dict[str, Any]) -> str:
    """One or two sentences out of a job's record."""
    reason = (job.get("reason") or {}).get("message") or ""
    tries = f"attempt {job['attempt']} of {job['retry']['max_attempts']}"
    match job["state"]:
        case "queued":
            earlier = f" Its {tries} ended so: {reason}" if reason else ""
            return f"Queued. {job.get('waiting_for') or ''}{earlier}"
        case "running":
            asked = " Its cancellation was asked for." if job.get("cancel_requested_at") else ""
            since = instant(job.get("started_at")) or "just now"
            return f"Running on {job.get('worker')} since {since}, {tries}.{asked}"
        case state:
            return f"{state.capitalize()} at {instant(job.get('finished_at'))}, {tries}. {reason}".rstrip()

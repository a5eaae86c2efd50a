"""A problem (RFC 9457), as each of them must be."""

from typing import Any

import httpx

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "trace_id", "errors"}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer, whose members agree with it and with each other."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == MEMBERS
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["instance"] == answer.request.url.raw_path.decode().partition("?")[0]
    return body

"""The API as commands see it."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import httpx

from entrypoints.cli.address import Address, find
from entrypoints.cli.failure import Failure

BASE: Final = "/api/v1"
TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0, read=75.0)
"""`GET /jobs/{id}?wait=60` answers within 60 s."""

SEND_TRIES: Final = 4
MAX_PAUSE_SECONDS: Final = 60.0
PAGE: Final = 200
FULL_ID: Final = 36

Params = Mapping[str, Any]


class Refused(Failure):
    """The server said no; `places` are the lines that name what was wrong in the request."""

    def __init__(self, answer: httpx.Response) -> None:
        problem = _problem(answer)
        self.http_status = answer.status_code
        self.code = str(problem.get("code", ""))
        detail = (
            problem.get("detail")
            or problem.get("title")
            or f"{answer.url} answered with {answer.status_code}."
        )
        places = [f"\n  {p.get('pointer')}: {p.get('detail')}" for p in problem.get("errors") or ()]
        super().__init__(f"{detail}{''.join(places)}{_cure(answer)}")


class Unreachable(Failure):
    """No answer came: nobody knows whether the request arrived."""


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _pause(answer: httpx.Response) -> float:
    """What a server that limits requests asks for, within reason."""
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), MAX_PAUSE_SECONDS) if asked.isdecimal() else 1.0


def _cure(answer: httpx.Response) -> str:
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return " Set ETL_API_KEY, or run this where the server's admin.key can be read."
    return ""


class Client:
    """One connection pool to one server. The address is looked up again after a lost connection: a
    server that was restarted may listen elsewhere.
    """

    def __init__(self, lookup: Callable[[], Address]) -> None:
        self._lookup = lookup
        self._http = self._connect()

    @classmethod
    def here(cls) -> Self:
        return cls(lambda: find(os.environ, Path.cwd()))

    def _connect(self) -> httpx.Client:
        address = self._lookup()
        self.url = address.url
        headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
        # No proxy from the environment: the address is the server's own, most often loopback.
        try:
            return httpx.Client(base_url=address.url, headers=headers, timeout=TIMEOUT, trust_env=False)
        except httpx.InvalidURL as error:
            raise Failure(f"{address.url} is no address: {error}.") from None

    def twin(self) -> Self:
        """Another client of the same server, for another thread."""
        return type(self)(self._lookup)

    def look_again(self) -> None:
        """Where the server is by now. While there is none, the old address stays, and fails once more."""
        with suppress(Failure):
            old, self._http = self._http, self._connect()
            old.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's JSON. Raises Refused, Unreachable, and Failure for what no server of ours answers."""
        answer = self._send(method, path, params, body, headers)
        if not answer.is_success:
            raise Refused(answer)
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise Failure(f"{self.url} is no ETL Orchestrator: its answer is no JSON.") from None

    def _send(
        self, method: str, path: str, params: Params | None, body: object, headers: Mapping[str, str] | None
    ) -> httpx.Response:
        for _ in range(SEND_TRIES):
            answer = self._sent(method, path, params, body, headers)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            time.sleep(_pause(answer))  # nothing was done, so nothing is done twice
        return answer

    def _sent(
        self, method: str, path: str, params: Params | None, body: object, headers: Mapping[str, str] | None
    ) -> httpx.Response:
        try:
            return self._http.request(
                method,
                BASE + path,
                params=_without_none(params),
                json=body,
                headers=dict(headers or {}),
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def send_safely(self, path: str, body: object, idempotency_key: str) -> Any:
        """POST until an answer comes: with a key, sending again does no harm."""
        for pause in (0.2, 0.5, 1.0, None):
            try:
                return self.call("POST", path, body=body, headers={"Idempotency-Key": idempotency_key})
            except (Unreachable, Refused) as error:
                if pause is None or not is_passing(error):
                    raise
                time.sleep(pause)
        raise AssertionError("the last pause is None")

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        read_seconds: float = 75.0,
    ) -> Iterator[httpx.Response]:
        """An answer that is read while it comes. Raises Refused, Unreachable."""
        timeout = httpx.Timeout(30.0, connect=10.0, read=read_seconds)
        try:
            with self._http.stream(
                "GET",
                BASE + path,
                params=_without_none(params),
                headers=dict(headers or {}),
                timeout=timeout,
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    raise Refused(answer)
                yield answer
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def items(self, path: str, params: Params | None = None, limit: int | None = None) -> Iterator[Any]:
        """Every item of a list, page after page, at most `limit`. A list without pages is one page."""
        left = limit
        cursor: str | None = None
        while left is None or left > 0:
            wanted = PAGE if left is None else min(left, PAGE)
            page = self.call("GET", path, params={**(params or {}), "limit": wanted, "cursor": cursor})
            yield from page["items"]
            cursor = page.get("next_cursor")
            left = None if left is None else left - len(page["items"])
            if cursor is None:
                return

    def full_id(self, prefix: str) -> str:
        """The id of the one job that begins with `prefix`. Raises Failure for none, or several."""
        prefix = prefix.lower()
        if len(prefix) >= FULL_ID:
            return _checked(prefix)
        if not re.fullmatch(r"[0-9a-f-]+", prefix):
            raise Failure(f"{prefix!r} is no job id, and no beginning of one.")
        found = self.call("GET", "/jobs", params={"id_prefix": prefix, "limit": 2})["items"]
        return _only([job["id"] for job in found], prefix, "job")

    def id_in(self, path: str, prefix: str, kind: str) -> str:
        """The id of the one item of a list that begins with `prefix`. Raises Failure for none, or several."""
        prefix = prefix.lower()
        ids = [item["id"] for item in self.items(path)]
        return _only([each for each in ids if prefix and each.startswith(prefix)], prefix, kind)

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(f"No answer from {self.url}: {str(error) or type(error).__name__}.")


def is_passing(error: Failure) -> bool:
    """Whether the same request may succeed in a while."""
    busy = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE)
    return isinstance(error, Unreachable) or (isinstance(error, Refused) and error.http_status in busy)


def _only(ids: Sequence[str], prefix: str, kind: str) -> str:
    if not ids:
        raise Failure(f"No {kind}'s id begins with {prefix!r}.")
    if len(ids) > 1:
        raise Failure(f"More than one {kind}'s id begins with {prefix!r}: type more of it.")
    return ids[0]


def _checked(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Failure(f"{text!r} is no job id.") from None


def _without_none(params: Params | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}

"""API keys: issue, list, revoke."""

from typing import Final

from litestar import Response
from litestar.params import FromPath

from domain.access import Scope
from domain.errors import DatabaseUnavailable, Forbidden, Invalid, InvalidCursor, KeyNotFound
from entrypoints.http.ids import key_id_of
from entrypoints.http.operation import Answer, Cases, HttpRequest, answer, operation
from entrypoints.http.paging import PageQuery, page_of
from entrypoints.http.reading import body_of, query_of
from entrypoints.http.request_types import in_utc
from entrypoints.http.schemas import KeyRequest
from entrypoints.http.views import IssuedKeyView, KeyPage, issued_key_view, key_view

WRITE: Final = (Scope.KEYS_WRITE,)


@operation(
    "POST",
    "/keys",
    id="issueKey",
    tag="keys",
    summary="Issue an API key",
    scopes=WRITE,
    body=KeyRequest,
    examples={"to submit and watch": KeyRequest(name="nightly", scopes=[Scope.JOBS_READ, Scope.JOBS_SUBMIT])},
    answers=(Answer(201, "The key, with its secret.", IssuedKeyView),),
    errors=(Forbidden, Invalid, DatabaseUnavailable),
)
async def issue_key(request: HttpRequest, use_cases: Cases) -> Response[bytes]:
    """The secret is in this answer alone. A key can never grant more than its issuer has."""
    wanted = await body_of(request, KeyRequest)
    expires_at = in_utc(wanted.expires_at, "/expires_at")
    key, secret = await use_cases.issue_key(wanted.name, frozenset(wanted.scopes), expires_at, request.user)
    return answer(issued_key_view(key, secret), 201)


@operation(
    "GET",
    "/keys",
    id="listKeys",
    tag="keys",
    summary="List API keys",
    scopes=WRITE,
    query=PageQuery,
    answers=(Answer(200, "A page of keys.", KeyPage),),
    errors=(InvalidCursor, DatabaseUnavailable),
)
async def list_keys(request: HttpRequest, use_cases: Cases) -> Response[bytes]:
    """Newest first, without the revoked ones, and without secrets."""
    query = query_of(request, PageQuery)
    page, more = page_of(await use_cases.list_keys(), lambda key: str(key.id), query)
    return answer(KeyPage(items=[key_view(key) for key in page], next_cursor=more))


@operation(
    "DELETE",
    "/keys/{key_id:str}",
    id="revokeKey",
    tag="keys",
    summary="Revoke an API key",
    scopes=WRITE,
    answers=(Answer(204, "It opens nothing from now on.", media=None),),
    errors=(KeyNotFound, DatabaseUnavailable),
)
async def revoke_key(key_id: FromPath[str], use_cases: Cases) -> Response[bytes]:
    """For good. Revoking again changes nothing."""
    await use_cases.revoke_key(key_id_of(key_id))
    return Response(b"", status_code=204)


HANDLERS: Final = (issue_key, list_keys, revoke_key)

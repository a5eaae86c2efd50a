"""/api/versioning: what may change within a version, for whoever writes a client."""

from html import escape
from typing import Final

from litestar import MediaType, Response

from entrypoints.http.deprecation import POLICY
from entrypoints.http.operation import Answer, operation

NOTICE_MONTHS: Final = 6

MAY_CHANGE: Final = (
    "new operations, new optional parameters and members of a request, wider limits",
    "new members of an answer, new headers: ignore what you do not know",
    "new errors of an operation, new values of `code` and of an event's `kind`: go by the status then",
    "the wording of `title`, `detail`, `message` and `waiting_for`: read codes, not sentences",
    "the form of cursors, ETags and ids of log lines: send them back as they came",
    "the order of members, and pages under /problems/",
)
STAYS: Final = (
    "an operation, a parameter or a member does not go away and does not change its name or its type",
    "what was accepted stays accepted, with the same meaning; nothing optional becomes required",
    "a member that is always in an answer stays there, and does not become null",
    "`state` and `outcome` of a job get no new values",
    "the status of an error stays, and with it whether to try again",
    "the scope that opens an operation stays",
)
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Versions of the API</title></head>
<body><h1>Versions of the API</h1>
<p>This is version 1: its addresses begin with <code>/api/v1</code>.</p>
<h2>Within a version may change</h2><ul>{may}</ul>
<h2>Within a version stays</h2><ul>{stays}</ul>
<h2>When something has to go</h2>
<p>The operation is marked <code>deprecated</code> in the document, and each of its answers carries
<code>Deprecation</code> (RFC 9745), <code>Sunset</code> (RFC 8594) and a <code>Link</code> to what to call
instead, for at least {months} months before it goes. What breaks clients otherwise comes as
<code>/api/v2</code>, beside version 1.</p>
</body></html>
"""


def page() -> str:
    return _PAGE.format(may=_items(MAY_CHANGE), stays=_items(STAYS), months=NOTICE_MONTHS)


def _items(sentences: tuple[str, ...]) -> str:
    return "".join(f"<li>{escape(sentence.replace('`', ''))}</li>" for sentence in sentences)


@operation(
    "GET",
    POLICY,
    id="readVersioning",
    tag="docs",
    summary="What may change within a version",
    scopes=(),
    answers=(Answer(200, "A page for people.", media="text/html"),),
)
async def read_versioning() -> Response[str]:
    """The policy, and how what goes is announced."""
    return Response(page(), media_type=MediaType.HTML, headers={"Cache-Control": "max-age=3600"})


HANDLERS: Final = (read_versioning,)

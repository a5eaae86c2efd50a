"""The ways in which the HTTP edge itself says no, before or around the use cases."""

from domain.errors import EtlError, Forbidden, Invalid, NotFound, Overloaded, Unauthenticated, Unavailable


class BadRequest(EtlError):  # noqa: N818 - kinds are named as the caller hears them
    """The request cannot be understood. `errors` names each place."""

    code = "bad-request"
    title = "The request cannot be understood"


class MalformedJson(BadRequest):
    """The body is not JSON in UTF-8 (RFC 8259)."""

    code = "malformed-json"
    title = "The body is not JSON"


class SchemaBroken(BadRequest):
    """The body is JSON and breaks the schema in /api/openapi.json. Unknown members are refused."""

    code = "schema-broken"
    title = "The body breaks its schema"


class WrongParameter(BadRequest):
    """A parameter of the query or a header is unknown, given twice, or has a value that is not allowed."""

    code = "wrong-parameter"
    title = "A parameter is wrong"


class ParametersDisagree(Invalid):
    """Each parameter is well formed, and together they ask for nothing that there is. `errors` names them."""

    code = "parameters-disagree"
    title = "These parameters do not go together"


class TwoCredentials(BadRequest):
    """More than one credential came with the request. Send either `Authorization` or `X-API-Key`, once."""

    code = "two-credentials"
    title = "More than one credential"


class WrongScheme(Unauthenticated):
    """The `Authorization` header is not of the form `Bearer TOKEN` (RFC 6750)."""

    code = "wrong-scheme"
    title = "Only Bearer is understood"


class FailuresNotCounted(Unavailable):
    """The credential is not valid, and the database that counts failures (`http.failure_limit`) is away."""

    code = "failures-not-counted"
    title = "Failed logins cannot be counted at the moment"


class TooManyStreams(Overloaded):
    """You follow as many logs as one key or token may at once. Close one, or read logs without following."""

    code = "too-many-streams"
    title = "Too many live streams"


class HostNotAllowed(Forbidden):
    """The `Host` header names a host that this server does not answer to (`http.host`).

    This keeps web pages from reaching a local server under a name of their own (DNS rebinding).
    """

    code = "host-not-allowed"
    title = "This server does not answer to that name"


class OriginNotAllowed(Forbidden):
    """The request comes from a web page of another origin. Name it in `http.cors_origins` to let it in."""

    code = "origin-not-allowed"
    title = "Requests from that page are not allowed"


class RouteNotFound(NotFound):
    """There is nothing at this address. /api/docs lists what there is."""

    code = "route-not-found"
    title = "Nothing here"


class MethodNotAllowed(EtlError):  # noqa: N818 - as above
    """This address does not know the method. `Allow` lists those that it knows."""

    code = "method-not-allowed"
    title = "Method not allowed"


class NotAcceptable(EtlError):  # noqa: N818 - as above
    """None of the media types in `Accept` can be served here."""

    code = "not-acceptable"
    title = "Not in that form"


class BodyTooSlow(EtlError):  # noqa: N818 - as above
    """The body did not arrive in time. Send the request again."""

    code = "body-too-slow"
    title = "The body did not arrive"


class BodyTooLarge(EtlError):  # noqa: N818 - as above
    """The body is larger than `http.max_body`."""

    code = "body-too-large"
    title = "The body is too large"


class HeadTooLarge(EtlError):  # noqa: N818 - as above
    """The request's headers are more than this server takes (RFC 6585, 5)."""

    code = "head-too-large"
    title = "The headers are too large"


class UnsupportedMediaType(EtlError):  # noqa: N818 - as above
    """Bodies are `application/json` in UTF-8, and say so in `Content-Type`."""

    code = "unsupported-media-type"
    title = "Bodies are JSON"


class RangeNotSatisfiable(EtlError):  # noqa: N818 - as above
    """The log holds no byte of the range that was asked for. `Content-Range` says how many it holds."""

    code = "range-not-satisfiable"
    title = "No such range"

    def __init__(self, length: int, unit: str = "bytes") -> None:
        super().__init__(f"The log holds {length} bytes.")
        self.headers = {"Content-Range": f"{unit} */{length}"}


class InternalError(EtlError):
    """A fault of this service. Its log holds the cause under the `trace_id` of this answer."""

    code = "internal-error"
    title = "A fault of this service"

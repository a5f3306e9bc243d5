"""The classes of events, and Work, which spans are for. Imported if a session has observers, or when a name is used."""

from __future__ import annotations

from typing import Literal

from ._frozen import frozen
from .config import BreakerState

__all__ = [
    "CircuitChanged",
    "Event",
    "PaceChange",
    "PaceChanged",
    "RequestFinished",
    "RetryScheduled",
    "TokenRequestFinished",
    "TokenStoreFailed",
    "UnknownField",
    "Work",
    "WorkKind",
]

PaceChange = Literal["started", "changed", "ended"]
WorkKind = Literal["call", "stream", "token_wait", "token", "request"]


@frozen(kw_only=True)
class RequestFinished:
    """A request to the API has ended: the response was read or abandoned, or the request failed or was cancelled."""

    clinic: str
    """The clinic's name."""
    method: str
    """The HTTP method."""
    path: str
    """The endpoint's path, never with a query; `<raw>` or the route for `clinic.get`."""
    attempt: int
    """The number of the request within its call, from 1."""
    status: int | None
    """The response's status, None if there was no response."""
    seconds: float
    """The time until the response's head arrived."""
    error: str
    """The class name of the exception, if the request failed before the response's head; else empty."""
    call_id: str = ""
    """The id of the call. All requests of a call have the same, also a token request that it started."""
    request_id: str = ""
    """The server's id of the request, if it sent one."""
    bytes_read: int = 0
    """The number of bytes of the body that were received, before decompression."""


@frozen(kw_only=True)
class RetryScheduled:
    """An attempt has failed, and the next one is scheduled."""

    clinic: str
    """The clinic's name."""
    method: str
    """The HTTP method."""
    path: str
    """The endpoint's path; `<token>` for a token request."""
    attempt: int
    """The number of the attempt that has failed, from 1."""
    delay_seconds: float
    """The time until the next attempt."""
    reason: str
    """Why the attempt failed: `HTTP 503`, or a short sentence."""
    call_id: str = ""
    """The id of the call. All requests of a call have the same, also a token request that it started."""


@frozen(kw_only=True)
class TokenRequestFinished:
    """A request to a clinic's token endpoint has ended, its body included."""

    clinic: str
    """The clinic's name."""
    attempt: int
    """The number of the request among those for this token, from 1."""
    status: int | None
    """The response's status, None if there was no response."""
    seconds: float
    """The time until the end of the response."""
    error: str
    """The class name of the exception that the request raised, or empty."""
    call_id: str = ""
    """The id of the call that started the request. A refresh in the background has its own id."""
    request_id: str = ""
    """The server's id of the request, if it sent one."""


@frozen(kw_only=True)
class CircuitChanged:
    """A clinic's circuit breaker has changed its state."""

    clinic: str
    """The clinic's name."""
    state: BreakerState
    """"open" (no requests), "half_open" (a probe decides) or "closed"."""


@frozen(kw_only=True)
class PaceChanged:
    """The rate of requests has changed: the server refuses some of them, or no longer does."""

    scope: Literal["clinic", "origin"]
    """"origin" (all requests to `base_url`: the API, or a token endpoint) or "clinic" (those of `clinic`)."""
    clinic: str
    """The clinic's name, empty for the scope "origin"."""
    base_url: str
    """The base URL or origin whose requests are paced."""
    change: PaceChange
    """"started", "changed" (the rate was cut) or "ended"."""
    requests_per_second: float | None
    """The new rate: 0 while the server requires a long pause, None at the end, when requests are no longer paced."""
    reason: str
    """Why, as a sentence."""


@frozen(kw_only=True)
class UnknownField:
    """Records of an endpoint contain a field that the class does not declare. The field is ignored.

    A session emits it once for each endpoint and field, at most 64 times for an endpoint, and never for an OpenRecord. Only
    names that look like identifiers are reported: a letter or `_`, and up to 63 letters, digits or `_`.
    """

    clinic: str
    """The first clinic whose records contained the field."""
    path: str
    """The endpoint's path."""
    field: str
    """The path of the field in the JSON record: `zipCode`, `address.zipCode`, or `phones[].kind` (`[]` stands for the
    items of a list and the values of a dict)."""


@frozen(kw_only=True)
class TokenStoreFailed:
    """The token store failed or timed out. Until it works again, each process requests its own tokens.

    Emitted at the start of an outage, and every five minutes while it lasts.
    """

    clinic: str
    """The first clinic affected."""
    error: str
    """The class name of the exception."""


@frozen(kw_only=True)
class Work:
    """A unit of work that starts now, for which a Tracer may return a span.

    The parent of a "request" is a "call", "stream" or "token". The parent of a "token_wait" is a "call" or "stream".
    """

    kind: WorkKind
    """"call" (such as `list` or `get`), "stream" (from its first step until its end), "token_wait" (a call waits for a
    token), "token" (a token is fetched, for all callers that wait for it) or "request" (one HTTP request; it can end
    before the body is read)."""
    clinic: str
    """The clinic's name."""
    method: str
    """The HTTP method, empty for work without a request."""
    path: str
    """The endpoint's path, never with a query; `<raw>` or `<token>` where no path may be shown."""
    base_url: str
    """The URL that the path is relative to: the session's base URL, or the origin of the token endpoint."""
    attempt: int = 0
    """The number of a request within its call, from 1; 0 for other work."""
    call_id: str = ""
    """The id of the call. All work of a call has the same."""


Event = (
    RequestFinished
    | RetryScheduled
    | TokenRequestFinished
    | CircuitChanged
    | PaceChanged
    | UnknownField
    | TokenStoreFailed
)

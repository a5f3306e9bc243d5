"""The classes of events, and of the work that spans are for. Imported where a session has observers, and when they are named."""

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
    """A request to the API is over: its response has been read or left, or it has failed, or was cancelled."""

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
    """The class name of what the request raised before the head, or empty."""
    call_id: str = ""
    """The same for all requests of a call, the token request that it started included."""
    request_id: str = ""
    """The server's id of the request, if it sent one."""
    bytes_read: int = 0
    """The size of the body as it was sent, as far as it was received."""


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
    """Why the attempt has failed: `HTTP 503`, or a short sentence."""
    call_id: str = ""
    """The same for all requests of a call, the token request that it started included."""


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
    """The class name of what the request raised, or empty."""
    call_id: str = ""
    """That of the call that started the request; a refresh in the background has one of its own."""
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
    """Requests of a scope are sent at another rate, since the server refuses some of them, or no longer does."""

    scope: Literal["clinic", "origin"]
    """"origin" (all requests to `base_url`: the API, or a token endpoint) or "clinic" (those of `clinic`)."""
    clinic: str
    """The clinic's name, empty for the scope "origin"."""
    base_url: str
    """The address whose requests are paced."""
    change: PaceChange
    """"started", "changed" (the rate was cut) or "ended"."""
    requests_per_second: float | None
    """The new rate: 0 while the server requires a long pause, None at the end, when requests are no longer paced."""
    reason: str
    """Why, as a sentence."""


@frozen(kw_only=True)
class UnknownField:
    """Records of an endpoint contain a field that the class does not declare; the field is ignored.

    Emitted once for each endpoint and field in the lifetime of a session, at most 64 times for an endpoint, and never for an
    OpenRecord. Only names that look like identifiers count (`[A-Za-z_]` and up to 63 word characters).
    """

    clinic: str
    """The first clinic whose records contained the field."""
    path: str
    """The endpoint's path."""
    field: str
    """Its path in the record, in JSON's names: `zipCode`, `address.zipCode`, or `phones[].kind` for the elements of a
    list and the values of a dict."""


@frozen(kw_only=True)
class TokenStoreFailed:
    """The token store failed or timed out: until it responds again, each process requests its own tokens.

    Emitted at the start of an outage, and every five minutes while it lasts.
    """

    clinic: str
    """The first clinic affected."""
    error: str
    """The class name of the exception."""


@frozen(kw_only=True)
class Work:
    """A unit of work that starts now, for which a Tracer may return a span.

    The parent of a request is a call, a stream or a token; that of a wait is a call or a stream.
    """

    kind: WorkKind
    """"call" (a list or a get), "stream" (from its first step until it ends or is closed), "token_wait" (a call waits
    for a token), "token" (a token is fetched for all callers that wait for it) or "request" (one HTTP request; the
    body may not have been read when it ends)."""
    clinic: str
    """The clinic's name."""
    method: str
    """The HTTP method, empty for work without a request."""
    path: str
    """The endpoint's path, never with a query; `<raw>` or `<token>` where no path may be shown."""
    base_url: str
    """What the path is relative to: the session's base URL, or the origin of the token endpoint."""
    attempt: int = 0
    """The number of a request within its call, from 1; 0 for other work."""
    call_id: str = ""
    """The same for all work of a call."""


Event = (
    RequestFinished
    | RetryScheduled
    | TokenRequestFinished
    | CircuitChanged
    | PaceChanged
    | UnknownField
    | TokenStoreFailed
)

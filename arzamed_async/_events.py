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
    """A request to the API is over: its response has been read or left, or it has failed, or was cancelled.

    `path` is the endpoint's. `attempt` counts from 1. `status` is None if there was no response. `seconds` is the time
    until its head arrived; `bytes_read` the size of the body as it was sent, as far as it was received. `error` is the
    class name of what the request raised before the head, or empty. `call_id` is the same for all requests of a call,
    the token request that it started included. `request_id` is the server's, if it sent one.
    """

    clinic: str
    method: str
    path: str
    attempt: int
    status: int | None
    seconds: float
    error: str
    call_id: str = ""
    request_id: str = ""
    bytes_read: int = 0


@frozen(kw_only=True)
class RetryScheduled:
    """Attempt number `attempt` has failed for `reason`, and the next one starts in `delay_seconds`.

    `path` is `<token>` for a token request.
    """

    clinic: str
    method: str
    path: str
    attempt: int
    delay_seconds: float
    reason: str
    call_id: str = ""


@frozen(kw_only=True)
class TokenRequestFinished:
    """A request to a clinic's token endpoint has ended, its body included. The fields mean the same as in RequestFinished.

    `call_id` is that of the call that started the request; a refresh in the background has one of its own.
    """

    clinic: str
    attempt: int
    status: int | None
    seconds: float
    error: str
    call_id: str = ""
    request_id: str = ""


@frozen(kw_only=True)
class CircuitChanged:
    """A clinic's circuit breaker has changed to `state`: "open" (no requests), "half_open" (a probe decides) or "closed"."""

    clinic: str
    state: BreakerState


@frozen(kw_only=True)
class PaceChanged:
    """Requests of a scope are sent at another rate, since the server refuses some of them, or no longer does.

    `scope` is "origin" (all requests to `base_url`: the API, or a token endpoint) or "clinic" (those of `clinic`, which
    is empty otherwise). `change` is "started", "changed" (the rate was cut) or "ended". `requests_per_second` is 0
    while the server requires a long pause, and None at the end: requests are not paced any more. `reason` is a sentence.
    """

    scope: Literal["clinic", "origin"]
    clinic: str
    base_url: str
    change: PaceChange
    requests_per_second: float | None
    reason: str


@frozen(kw_only=True)
class UnknownField:
    """Records of an endpoint contain a field that the class does not declare; the field is ignored.

    `field` is its path in the record, in JSON's names: `zipCode`, `address.zipCode`, or `phones[].kind` for the
    elements of a list and the values of a dict. Emitted once for each endpoint and field in the lifetime of a session,
    at most 64 times for an endpoint, and never for an OpenRecord. Only names that look like identifiers count
    (`[A-Za-z_]` and up to 63 word characters). `clinic` is the first one whose records contained the field.
    """

    clinic: str
    path: str
    field: str


@frozen(kw_only=True)
class TokenStoreFailed:
    """The token store failed or timed out: until it responds again, each process requests its own tokens.

    Emitted at the start of an outage, and every five minutes while it lasts. `error` is the class name of the exception. `clinic` is the first one affected.
    """

    clinic: str
    error: str


@frozen(kw_only=True)
class Work:
    """A unit of work that starts now, for which a Tracer may return a span.

    `kind` is "call" (a list or a get), "stream" (from its first step until it ends or is closed), "token_wait" (a call
    waits for a token), "token" (a token is fetched for all callers that wait for it) or "request" (one HTTP request; the
    body may not have been read when it ends). The parent of a request is a call, a stream or a token; that
    of a wait is a call or a stream.

    `path` is the endpoint's, never with a query; `<raw>` or `<token>` where no path may be shown. It is relative to
    `base_url`: the session's, or the origin of the token endpoint. `attempt` counts the requests from 1, and is 0
    for other work. `call_id` is the same for all work of a call.
    """

    kind: WorkKind
    clinic: str
    method: str
    path: str
    base_url: str
    attempt: int = 0
    call_id: str = ""


Event = (
    RequestFinished
    | RetryScheduled
    | TokenRequestFinished
    | CircuitChanged
    | PaceChanged
    | UnknownField
    | TokenStoreFailed
)

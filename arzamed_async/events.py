"""What an observer is told, and a tracer: names, counts and times; never a body, a token, a secret or a value."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

__all__ = [
    "BreakerState",
    "CircuitChanged",
    "Event",
    "RequestFinished",
    "RetryScheduled",
    "TokenRequestFinished",
    "TokenStoreFailed",
    "UnknownField",
    "Work",
    "WorkKind",
]


BreakerState = Literal["closed", "open", "half_open"]
WorkKind = Literal["call", "stream", "token_wait", "token", "request"]


@frozen(kw_only=True)
class RequestFinished:
    """One request to the API has been answered (its body may still be on the way) or has failed.

    `path` is the endpoint's, `attempt` counts from 1, `status` is None where no answer came, `error`
    the class name of what went wrong, or empty.
    """

    clinic: str
    method: str
    path: str
    attempt: int
    status: int | None
    seconds: float
    error: str


@frozen(kw_only=True)
class RetryScheduled:
    """Attempt number `attempt` has failed and will be made again in `delay_seconds`; `reason` is what it met.

    `path` is `<token>` for a token request.
    """

    clinic: str
    method: str
    path: str
    attempt: int
    delay_seconds: float
    reason: str


@frozen(kw_only=True)
class TokenRequestFinished:
    """One request to a clinic's token endpoint has ended; the fields are those of RequestFinished."""

    clinic: str
    attempt: int
    status: int | None
    seconds: float
    error: str


@frozen(kw_only=True)
class CircuitChanged:
    """A clinic's circuit breaker is now `state`: "open" (not asked), "half_open" (one request decides) or "closed"."""

    clinic: str
    state: BreakerState


@frozen(kw_only=True)
class UnknownField:
    """Records of an endpoint hold a field that the class does not know; it is ignored.

    Told once for each endpoint and field in the life of a session, for names that look like names
    (`[A-Za-z_]` and up to 63 word characters), 64 at most for an endpoint, and never for an OpenRecord.
    `clinic` is where it was first seen.
    """

    clinic: str
    path: str
    field: str


@frozen(kw_only=True)
class TokenStoreFailed:
    """The token store gave no answer, or none in time: until it does, each process asks for tokens of its own.

    Told once for each time that it goes. `error` is the class name of what it raised. `clinic` is where it was seen.
    """

    clinic: str
    error: str


@frozen(kw_only=True)
class Work:
    """A piece of work that starts now; a Tracer is asked for its span.

    `kind` is "call" (a list or a get), "stream" (from its first step until it ends or is left), "token_wait" (a call has
    to wait for a token), "token" (a token is fetched, for all who wait for it) or "request" (one HTTP request; its body
    may still be on the way when it ends). A request belongs to a call, a stream or a token, a wait to a call or a stream.

    `path` is the endpoint's, never with a query; `<raw>` or `<token>` where there is none to show. `base_url` is what it
    is relative to: the session's, or the origin of the token endpoint. `attempt` counts the requests from 1, and is 0
    for other work.
    """

    kind: WorkKind
    clinic: str
    method: str
    path: str
    base_url: str
    attempt: int = 0


Event = RequestFinished | RetryScheduled | TokenRequestFinished | CircuitChanged | UnknownField | TokenStoreFailed

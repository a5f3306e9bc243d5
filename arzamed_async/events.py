"""Events and spans, for observers and tracers: names, counts and times; never a body, a token, a secret or a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from ._frozen import frozen

__all__ = [
    "BreakerState",
    "CircuitChanged",
    "Event",
    "Observer",
    "RequestFinished",
    "RetryScheduled",
    "Span",
    "TokenRequestFinished",
    "TokenStoreFailed",
    "Tracer",
    "UnknownField",
    "Work",
    "WorkKind",
]


BreakerState = Literal["closed", "open", "half_open"]
WorkKind = Literal["call", "stream", "token_wait", "token", "request"]


@frozen(kw_only=True)
class RequestFinished:
    """A request to the API has received the head of its response, or has failed, or was cancelled.

    The body may not have been read yet. `_telemetry.RequestSpans` sends this event. `path` is the endpoint's. `attempt` counts from 1. `status` is None if there was no response. `error` is the
    class name of the exception, or empty.
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
    """Attempt number `attempt` has failed for `reason`, and the next one starts in `delay_seconds`.

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
    """A request to a clinic's token endpoint has ended, its body included. The fields mean the same as in RequestFinished."""

    clinic: str
    attempt: int
    status: int | None
    seconds: float
    error: str


@frozen(kw_only=True)
class CircuitChanged:
    """A clinic's circuit breaker has changed to `state`: "open" (no requests), "half_open" (a probe decides) or "closed"."""

    clinic: str
    state: BreakerState


@frozen(kw_only=True)
class UnknownField:
    """Records of an endpoint contain a field that the class does not declare; the field is ignored.

    Emitted once for each endpoint and field in the lifetime of a session, at most 64 times for an endpoint, and
    never for an OpenRecord. Only names that look like identifiers count (`[A-Za-z_]` and up to 63 word characters).
    `clinic` is the first one whose records contained the field.
    """

    clinic: str
    path: str
    field: str


@frozen(kw_only=True)
class TokenStoreFailed:
    """The token store failed or timed out: until it responds again, each process requests its own tokens.

    Emitted once for each outage. `error` is the class name of the exception. `clinic` is the first one affected.
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
    for other work.
    """

    kind: WorkKind
    clinic: str
    method: str
    path: str
    base_url: str
    attempt: int = 0


Event = RequestFinished | RetryScheduled | TokenRequestFinished | CircuitChanged | UnknownField | TokenStoreFailed


class Observer(Protocol):
    """A callable that receives each Event. It runs on the event loop, so it must return at once.

    If it raises, the exception's class is logged and the exception is suppressed.
    """

    def __call__(self, event: Event, /) -> None:
        """Handle the event."""


class Span(Protocol):
    """A unit of work that a Tracer follows until `end`. Its methods run on the event loop, as the tracer does."""

    def headers(self) -> Mapping[str, str]:
        """Return headers to send with a request, such as `traceparent`. Called once, for requests only."""
        ...

    def tell(self, event: Event, /) -> None:
        """Handle an event during the work: RetryScheduled, CircuitChanged. (Observers receive it too.)"""
        ...

    def end(self, status: int | None, error: str, /) -> None:
        """Handle the end of the work: the response's status, if there was one, and the class name of its exception, or empty."""
        ...


class Tracer(Observer, Protocol):
    """An observer that also creates a span wherever work starts. Pass it to a session among its `observers`.

    All work except a stream starts and ends in the same task, without code of the caller in between: a context variable
    set at its start can be reset at its end. A "token" is fetched in a task that its caller has started, and that may
    outlive the caller. If the tracer or a span raises, the exception's class is logged and the exception is suppressed.
    A header that the request already has is not replaced.
    """

    def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
        """Return a span for work that starts now, or None not to trace it; `parent` is the span of the enclosing work."""
        ...

"""What an observer is told, and a tracer: names, counts and times; never a body, a token, a secret or a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from attrs import frozen

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


class Observer(Protocol):
    """Anything that can be called with an Event. It runs on the event loop, so it must return at once.

    An exception it raises is logged by its class and goes no further.
    """

    def __call__(self, event: Event, /) -> None:
        """Take note of the event."""


class Span(Protocol):
    """A piece of work that a Tracer follows until its `end`. It runs on the event loop, as the tracer does."""

    def headers(self) -> Mapping[str, str]:
        """Return what a request is to be sent with, such as `traceparent`; asked for requests only, once."""
        ...

    def tell(self, event: Event, /) -> None:
        """Take note of something on the way: RetryScheduled, CircuitChanged. (Observers are told as well.)"""
        ...

    def end(self, status: int | None, error: str, /) -> None:
        """Take note of the end: the answer's status (None: no request, or no answer), the class name of what it raised, or empty."""
        ...


class Tracer(Observer, Protocol):
    """An observer that is also asked for a span wherever work starts. Give it to a session among its `observers`.

    All work but a stream's begins and ends in one task, without a step of the caller's in between: a context variable
    set at its start can be reset at its end. A "token" is fetched in a task that its caller has started, and may outlive
    the caller. Exceptions are logged by their class and go no further. A header that a request has already is not replaced.
    """

    def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
        """Return a span for work that starts now, None to leave it alone; `parent` is what this gave for the work around it."""
        ...

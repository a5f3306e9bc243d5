"""Events and spans, for observers and tracers: names, counts and times; never a body, a token, a secret or a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from ._lazy import lazy
from .config import BreakerState

if TYPE_CHECKING:
    from ._events import (
        CircuitChanged,
        Event,
        PaceChange,
        PaceChanged,
        RequestFinished,
        RetryScheduled,
        TokenRequestFinished,
        TokenStoreFailed,
        UnknownField,
        Work,
        WorkKind,
    )

__all__ = [
    "BreakerState",
    "CircuitChanged",
    "Event",
    "Observer",
    "PaceChange",
    "PaceChanged",
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


if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__, {name: "._events" for name in __all__ if name not in ("BreakerState", "Observer", "Span", "Tracer")}
    )


class Observer(Protocol):
    """A callable that receives each Event. It runs on the event loop, so it must return at once.

    If it raises, the exception's class is logged and the exception is suppressed.
    """

    def __call__(self, event: Event, /) -> None:
        """Handle the event.

        Args:
            event: What has happened.
        """


class Span(Protocol):
    """A unit of work that a Tracer follows until `end`. Its methods run on the event loop, as the tracer does."""

    def headers(self) -> Mapping[str, str]:
        """Return headers to send with a request, such as `traceparent`. Called once, for requests only."""
        ...

    def tell(self, event: Event, /) -> None:
        """Handle an event during the work: RetryScheduled, CircuitChanged. (Observers receive it too.)

        Args:
            event: What has happened during the work.
        """
        ...

    def end(self, status: int | None, error: str, /) -> None:
        """Handle the end of the work: the response's status, if there was one, and the class name of its exception, or empty.

        Args:
            status: The response's status; None: there was no response.
            error: The class name of the exception; empty: there was none.
        """
        ...


class Tracer(Observer, Protocol):
    """An observer that also creates a span wherever work starts. Pass it to a session among its `observers`.

    All work except a stream starts and ends in the same task, without code of the caller in between: a context variable
    set at its start can be reset at its end. A "token" is fetched in a task that its caller has started, and that may
    outlive the caller. If the tracer or a span raises, the exception's class is logged and the exception is suppressed.
    A header that the request already has is not replaced.
    """

    def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
        """Return a span for work that starts now, or None not to trace it.

        Args:
            work: What starts.
            parent: The span of the enclosing work, if there is one.
        """
        ...

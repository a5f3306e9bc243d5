"""Events and spans, for observers and tracers. They contain names, counts and times, and no body, token, secret or value."""

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
    """A function that is called with each Event. It runs on the event loop, so it must not block.

    If it raises an exception, its class is logged, and the call of the session continues.
    """

    def __call__(self, event: Event, /) -> None:
        """Handle the event.

        Args:
            event: The event.
        """


class Span(Protocol):
    """The span of one unit of work. A Tracer creates it. Its methods run on the event loop and must not block."""

    def headers(self) -> Mapping[str, str]:
        """Return headers to send with a request, such as `traceparent`. Called once for a request, never for other work."""
        ...

    def tell(self, event: Event, /) -> None:
        """Handle an event that belongs to this work: RetryScheduled or CircuitChanged. Observers receive it, too.

        Args:
            event: The event.
        """
        ...

    def end(self, status: int | None, error: str, /) -> None:
        """Handle the end of the work.

        Args:
            status: The HTTP status of the response. None: there was none.
            error: The class name of the exception. Empty: there was none.
        """
        ...


class Tracer(Observer, Protocol):
    """An observer that also creates a span for each unit of work. Pass it to a session in `observers`.

    Work starts and ends in the same task, and no code of the caller runs in between. So a context variable that is set at
    the start can be reset at the end. A stream is the exception. A token is fetched in a task of its own, which may
    outlive the call that started it.

    If the tracer or a span raises an exception, its class is logged, and the call of the session continues. Headers of a
    span do not replace headers that the request already has.
    """

    def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
        """Return a span for work that starts now, or None if it is not to be traced.

        Args:
            work: The work that starts.
            parent: The span of the enclosing work. None: there is none.
        """
        ...

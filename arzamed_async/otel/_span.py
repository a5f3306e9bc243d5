"""A span of OpenTelemetry as a Span of the session."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator

from arzamed_async import CircuitChanged, Event, RetryScheduled, Work

from ._attributes import error_type
from ._metrics import Metrics

__all__ = ["WorkSpan"]

#: These keys signal to instrumentations of HTTP libraries that a request already has a span. aiohttp's reads the first
#: since 0.60b0, and the general second one in earlier versions. Without them it would create a second client span, and
#: send the headers of the global propagator, including baggage.
_HAS_SPAN: tuple[Any, ...] = tuple(
    key
    for name in ("_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "_SUPPRESS_INSTRUMENTATION_KEY")
    if (key := getattr(otel_context, name, None)) is not None
)


class WorkSpan:
    """The span of a unit of work. It is the current span meanwhile, except for a stream, which runs between the caller's steps."""

    __slots__ = ("_attached", "_metrics", "_propagator", "_span", "_started", "context", "work")

    def __init__(
        self,
        work: Work,
        span: trace.Span,
        context: Context,
        metrics: Metrics,
        propagator: TextMapPropagator | None,
    ) -> None:
        self.work = work
        self.context = context
        self._span = span
        self._metrics = metrics
        self._propagator = propagator
        self._started = time.perf_counter()
        inside = context
        if work.kind == "request":
            for key in _HAS_SPAN:
                inside = otel_context.set_value(key, True, inside)
        self._attached = None if work.kind == "stream" else otel_context.attach(inside)

    def headers(self) -> Mapping[str, str]:
        """Return the headers that propagate the trace."""
        carrier: dict[str, str] = {}
        if self._propagator is not None:
            self._propagator.inject(carrier, self.context)  # pyright: ignore[reportArgumentType] - its own default
        return carrier

    def tell(self, event: Event, /) -> None:
        """Add a retry, or a change of the circuit breaker, to the span."""
        match event:
            case RetryScheduled():
                facts: dict[str, str | float] = {
                    "arzamed.reason": event.reason,
                    "arzamed.delay_seconds": event.delay_seconds,
                }
                self._span.add_event("arzamed.retry", facts)
            case CircuitChanged():
                self._span.add_event("arzamed.circuit", {"arzamed.circuit.state": event.state})
            case _:
                pass

    def end(self, status: int | None, error: str, /) -> None:
        """End the span. The status of cancelled work stays unset, since it did not fail."""
        seconds = time.perf_counter() - self._started
        if self._attached is not None:
            otel_context.detach(self._attached)
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if kind := error_type(status, error):
            self._span.set_attribute("error.type", kind)
            if error != "CancelledError":
                self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()
        self._metrics.ended(self.work, seconds, status, error, self.context)

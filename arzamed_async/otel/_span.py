"""One span of OpenTelemetry's, as the session knows it."""

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

#: Under these keys instrumentations of HTTP libraries see that a request already has its span. aiohttp's reads the first
#: from 0.60b0 on, and before only the second, which holds for instrumentations of any kind. It would otherwise make a
#: second client span, and send what the global propagator writes: baggage, too.
_HAS_SPAN: tuple[Any, ...] = tuple(
    key
    for name in ("_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "_SUPPRESS_INSTRUMENTATION_KEY")
    if (key := getattr(otel_context, name, None)) is not None
)


class WorkSpan:
    """A piece of work. Its span is the current one while it runs, but for a stream's: that runs between its reader's steps."""

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
        """Return what tells the server of the trace."""
        carrier: dict[str, str] = {}
        if self._propagator is not None:
            self._propagator.inject(carrier, self.context)  # pyright: ignore[reportArgumentType] - its own default
        return carrier

    def tell(self, event: Event, /) -> None:
        """Note a retry or a change of the circuit on the span."""
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
        """End the span. Work that was cancelled has not failed: its status is left unset."""
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

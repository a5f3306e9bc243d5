"""The observer: spans for a session's work, context sent with its requests, metrics of both."""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from arzamed_async import ArzamedSession, Event, Span, Work, __version__

from ._attributes import span_attributes, span_name
from ._gauges import Gauges
from ._metrics import Metrics
from ._span import WorkSpan

__all__ = ["OTelObserver"]

_SCHEMA = "https://opentelemetry.io/schemas/1.27.0"


class OTelObserver:
    """Traces and measures sessions by OpenTelemetry's HTTP conventions. One for each process is enough.

        telemetry = OTelObserver()
        async with ArzamedSession(observers=[telemetry]) as session:
            telemetry.watch(session)  # for the gauges

    A list or a get is a span below the caller's current one, a stream from its first step until it ends or is left; each
    attempt is a client span below that, and `traceparent` goes with it. A token is fetched for all who wait, and may
    outlive the first of them: its span has a trace of its own, with a link to who started it.

    No attribute holds a secret, a token, a query, a value or a path that may hold identifiers. Clinics' names are on
    spans; on metrics only with `clinics_in_metrics`, which makes as many series more as there are clinics. `propagator`
    writes what is sent along, to the clinics' token endpoints too: by default W3C trace context and no baggage, for
    these servers are other parties; None sends nothing. Providers are the global ones if none are given.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        propagator: TextMapPropagator | None = TraceContextTextMapPropagator(),
        clinics_in_metrics: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer("arzamed_async", __version__, tracer_provider, _SCHEMA)
        meter = metrics.get_meter("arzamed_async", __version__, meter_provider, _SCHEMA)
        self._metrics = Metrics(meter, clinics=clinics_in_metrics)
        self._gauges = Gauges(meter, clinics=clinics_in_metrics)
        self._propagator = propagator

    def watch(self, session: ArzamedSession) -> None:
        """Show in the gauges how this session stands, too. Call it on the session's event loop."""
        self._gauges.watch(session)

    def __call__(self, event: Event, /) -> None:
        """Count the event."""
        self._metrics.event(event)

    def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
        """Return the span of this work."""
        current = otel_context.get_current()
        links: list[trace.Link] = []
        if isinstance(parent, WorkSpan):
            current = parent.context
        elif work.kind == "token":
            caller = trace.get_current_span(current).get_span_context()
            links = [trace.Link(caller)] if caller.is_valid else []
            current = Context()
        span = self._tracer.start_span(
            span_name(work),
            current,
            trace.SpanKind.CLIENT if work.kind == "request" else trace.SpanKind.INTERNAL,
            span_attributes(work),
            links,
        )
        self._metrics.started(work)
        return WorkSpan(work, span, trace.set_span_in_context(span, current), self._metrics, self._propagator)

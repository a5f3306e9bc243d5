"""OTelObserver creates the spans of a session's work, propagates their context, and records metrics."""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from arzamed_async import ArzamedSession, ConfigurationError, Event, Span, Work, __version__
from arzamed_async._extras import hides_arguments

from ._attributes import span_attributes, span_name
from ._gauges import Gauges
from ._metrics import Metrics
from ._span import WorkSpan

__all__ = ["OTelObserver"]

_SCHEMA = "https://opentelemetry.io/schemas/1.27.0"


class OTelObserver:
    """Traces and measures sessions by OpenTelemetry's HTTP conventions. One instance per process is enough.

        telemetry = OTelObserver()
        async with ArzamedSession(observers=[telemetry]) as session:
            telemetry.watch(session)  # for the gauges

    The span of a call is a child of the caller's current span. That of a stream lasts from its first step until its end.
    Each attempt is a client span below it, and its request has a `traceparent` header. A token is fetched for all callers
    that wait for it. So its span starts a new trace, with a link to the first of these callers.

    Spans have the clinic's name. No attribute contains a secret, a token, a query, a value of a record, or a path that may
    contain identifiers. Raises ConfigurationError if a provider or propagator is not one of OpenTelemetry.

    Args:
        tracer_provider: Creates the spans. None: the global provider.
        meter_provider: Records the metrics. None: the global provider.
        propagator: Writes the headers of each request, also to token endpoints. Default: W3C trace context without baggage,
            since these servers belong to other parties. None: no headers.
        clinics_in_metrics: True: metrics have the clinic's name. This multiplies the series by the number of clinics.
    """

    @hides_arguments
    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        propagator: TextMapPropagator | None = TraceContextTextMapPropagator(),
        clinics_in_metrics: bool = False,
    ) -> None:
        for name, given, method in (
            ("tracer_provider", tracer_provider, "get_tracer"),
            ("meter_provider", meter_provider, "get_meter"),
            ("propagator", propagator, "inject"),
        ):
            if given is not None and not callable(getattr(given, method, None)):
                raise ConfigurationError(f"{name} must be OpenTelemetry's, with {method}(), not {type(given).__name__}")
        if not isinstance(clinics_in_metrics, bool):
            raise ConfigurationError(
                f"clinics_in_metrics must be True or False, not {type(clinics_in_metrics).__name__}"
            )
        self._tracer = trace.get_tracer("arzamed_async", __version__, tracer_provider, _SCHEMA)
        meter = metrics.get_meter("arzamed_async", __version__, meter_provider, _SCHEMA)
        self._metrics = Metrics(meter, clinics=clinics_in_metrics)
        self._gauges = Gauges(meter, clinics=clinics_in_metrics)
        self._propagator = propagator

    def watch(self, session: ArzamedSession) -> None:
        """Include a session in the gauges. Call it on the session's event loop.

        Args:
            session: The session to measure.
        """
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

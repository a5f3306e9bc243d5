"""Counters and histograms."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter

from arzamed_async import CircuitChanged, Event, PaceChanged, RetryScheduled, TokenStoreFailed, Work

from ._attributes import Attributes, error_type, request_attributes

__all__ = ["Metrics"]

#: The boundaries that the conventions recommend for http.client.request.duration, in seconds.
BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
#: Token endpoints that have series of their own. Each clinic may have its own host, and each host is a series for each status.
TOKEN_SERVERS = 8
#: The address of all others, as the conventions have it for a method that is not known.
OTHER = "_OTHER"


class Metrics:
    """The instruments. With `clinics`, each measurement has its clinic: this multiplies the series by the clinics."""

    def __init__(self, meter: Meter, *, clinics: bool) -> None:
        self._clinics = clinics
        self._token_servers: set[tuple[str | int, str | int]] = set()

        def seconds(name: str, description: str) -> Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=BUCKETS_SECONDS)

        self._requests = seconds("http.client.request.duration", "Duration of HTTP client requests.")
        self._calls = seconds("arzamed.call.duration", "Duration of calls, including tokens, attempts and waits.")
        self._waits = seconds("arzamed.token.wait.duration", "How long calls waited for a token.")
        self._tokens = meter.create_counter("arzamed.token.requests", "{request}", "Token requests.")
        self._retries = meter.create_counter("arzamed.retries", "{retry}", "Retries.")
        self._circuits = meter.create_counter("arzamed.circuit.changes", "{change}", "Changes of circuit breakers.")
        self._paces = meter.create_counter("arzamed.pacing.changes", "{change}", "Changes of paces.")
        self._stores = meter.create_counter("arzamed.token_store.failures", "{failure}", "Outages of the token store.")
        self._streams = meter.create_up_down_counter("arzamed.streams.open", "{stream}", "Open record streams.")

    def _common(self, clinic: str, attributes: Attributes) -> Attributes:
        return {**attributes, "arzamed.clinic": clinic} if self._clinics else attributes

    def _where(self, work: Work) -> Attributes:
        """Return the attributes of a request, with as many addresses of token endpoints as there may be series."""
        attributes = request_attributes(work)
        if self._clinics or work.method != "POST":
            return attributes
        server = attributes["server.address"], attributes["server.port"]
        if len(self._token_servers) < TOKEN_SERVERS:
            self._token_servers.add(server)
        if server not in self._token_servers:
            attributes["server.address"] = OTHER
            del attributes["server.port"]
        return attributes

    def event(self, event: Event) -> None:
        """Count an event that is not part of the work."""
        match event:
            case RetryScheduled():
                self._retries.add(1, self._common(event.clinic, {"arzamed.path": event.path}))
            case CircuitChanged():
                self._circuits.add(1, self._common(event.clinic, {"arzamed.circuit.state": event.state}))
            case PaceChanged():
                paced: Attributes = {"arzamed.pacing.scope": event.scope, "arzamed.pacing.change": event.change}
                self._paces.add(1, self._common(event.clinic, paced))
            case TokenStoreFailed():
                self._stores.add(1, self._common(event.clinic, {"error.type": event.error}))
            case _:
                pass

    def started(self, work: Work) -> None:
        """Record the start of work."""
        if work.kind == "stream":
            self._streams.add(1, self._common(work.clinic, {"arzamed.path": work.path}))

    def ended(self, work: Work, seconds: float, status: int | None, error: str, context: Context) -> None:
        """Record the end of work; `context` holds its span, for exemplars."""
        failed: Attributes = {"error.type": kind} if (kind := error_type(status, error)) else {}
        match work.kind:
            case "stream":
                self._streams.add(-1, self._common(work.clinic, {"arzamed.path": work.path}))
            case "call":
                attributes = self._common(work.clinic, {"arzamed.path": work.path, **failed})
                self._calls.record(seconds, attributes, context)
            case "token_wait":
                self._waits.record(seconds, self._common(work.clinic, failed), context)
            case "request":
                answered: Attributes = {} if status is None else {"http.response.status_code": status}
                attributes = {**self._where(work), **answered, **failed}
                self._requests.record(seconds, self._common(work.clinic, attributes), context)
                if work.method == "POST":
                    self._tokens.add(1, self._common(work.clinic, {**answered, **failed}), context)
            case "token":
                pass

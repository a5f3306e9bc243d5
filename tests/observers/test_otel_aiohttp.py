"""The observer beside aiohttp's own instrumentation, the real one: one client span a request, and nothing more is sent."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest
from opentelemetry import baggage, propagate
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from support import RawServer, answer
from test_otel import QUICK, Telemetry
from test_tracing import scripted

from arzamed_async import ArzamedSession

pytestmark = pytest.mark.asyncio


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Give an observer while every aiohttp session is instrumented, and the global propagator sends baggage."""
    telemetry = Telemetry()
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()]))
    AioHttpClientInstrumentor().instrument(tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
    token = otel_context.attach(baggage.set_baggage("user", "inventata"))
    yield telemetry
    otel_context.detach(token)
    AioHttpClientInstrumentor().uninstrument()
    propagate.set_global_textmap(before)
    telemetry.meters.shutdown()
    telemetry.tracers.shutdown()


async def test_each_request_has_one_client_span_and_sends_no_baggage(telemetry: Telemetry) -> None:
    """Of each request, a token's and a retry too, there is one client span, and traceparent is all that goes along."""
    async with (
        RawServer(scripted(answer(503))) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, observers=[telemetry.observer]) as session,
    ):
        await session.clinic(server.credentials()).doctors.list()
        clients = [span for span in telemetry.spans() if span.kind is SpanKind.CLIENT]
        assert len(clients) == len(server.requests) == 3
        assert [span.name for span in clients] == ["POST", *["GET /api/v1/equipe/doctors"] * 2]
        for request in server.requests:
            assert {"traceparent", "tracestate", "baggage"} & set(request.headers) == {"traceparent"}


async def test_the_callers_own_requests_are_left_to_the_instrumentation(telemetry: Telemetry) -> None:
    """What holds an instrumentation back ends with the request: the caller's next one has its span, and sends baggage."""
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, observers=[telemetry.observer]) as session,
    ):
        await session.clinic(server.credentials()).doctors.list()
        ours = len(telemetry.spans())
        async with aiohttp.ClientSession() as own, own.get(f"{server.base_url}/equipe/doctors"):
            pass
        assert [span.kind for span in telemetry.spans()[ours:]] == [SpanKind.CLIENT]
        assert server.requests[-1].headers["baggage"] == "user=inventata"

"""OpenTelemetry: spans, what goes with the requests, metrics, gauges; over real sockets, by in-memory exporters."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import Iterator
from typing import Any, cast

import aiohttp
import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from support import RawServer, answer
from test_tracebacks import CANARIES, READS, Read
from test_tracing import scripted

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    BreakerPolicy,
    ClinicCredentials,
    ConfigurationError,
    ForbiddenError,
    RetryPolicy,
    Timeouts,
    TokenUnavailableError,
)
from arzamed_async.otel import OTelObserver
from arzamed_async.testing import FakeArzamed

pytestmark = pytest.mark.asyncio

QUICK = RetryPolicy(initial_backoff_seconds=0.001)
Point = NumberDataPoint | HistogramDataPoint


class Telemetry:
    """An observer with providers of its own, and what has come out of them."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.tracers.get_tracer("invented")
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.observer = OTelObserver(tracer_provider=self.tracers, meter_provider=self.meters, **options)

    def spans(self) -> list[ReadableSpan]:
        """Return all spans that have ended, in the order of their starts."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.name == name]

    def points(self, name: str) -> list[Point]:
        """Return the data points of a metric now."""
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def values(self, name: str) -> dict[str, float]:
        """Return a metric's values (a histogram's counts) by their attributes, as JSON."""
        return {
            json.dumps(dict(point.attributes or {}), sort_keys=True): (
                point.count if isinstance(point, HistogramDataPoint) else point.value
            )
            for point in self.points(name)
        }


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.meters.shutdown()
    telemetry.tracers.shutdown()


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def trace_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


async def test_attempts_stand_under_the_call_and_it_under_the_callers(telemetry: Telemetry) -> None:
    """Each attempt is a client span by the HTTP conventions, under the call's, under the caller's; the server sees which."""
    async with (
        RawServer(scripted(answer(503), None, answer(401))) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, observers=[telemetry.observer]) as session,
    ):
        with telemetry.tracer.start_as_current_span("caller") as caller:
            await session.clinic(server.credentials()).doctors.list({"patient": "inventata"})
            assert trace.get_current_span() is caller
        requests = [request for request in server.requests if not request.is_token]
    (outer,) = telemetry.named("caller")
    (call,) = telemetry.named("arzamed.call equipe/doctors")
    attempts = telemetry.named("GET /api/v1/equipe/doctors")
    assert call.parent is not None
    assert call.parent.span_id == id_of(outer)
    assert call.kind is SpanKind.INTERNAL
    assert call.status.status_code is StatusCode.UNSET
    assert [event.name for event in call.events] == ["arzamed.retry"] * 2
    assert (call.events[0].attributes or {})["arzamed.reason"] == "HTTP 503"
    assert [span.parent and span.parent.span_id for span in attempts] == [id_of(call)] * 4
    assert {span.kind for span in attempts} == {SpanKind.CLIENT}
    common = {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "url.full": f"{server.base_url}/equipe/doctors",
        "url.template": "/api/v1/equipe/doctors",
        "arzamed.clinic": "Milano",
        "arzamed.path": "equipe/doctors",
    }
    common["arzamed.call_id"] = attributes_of(call)["arzamed.call_id"]  # one call, one id
    assert [attributes_of(span) for span in attempts] == [
        {**common, "http.response.status_code": 503, "error.type": "503"},
        {**common, "error.type": "TransportError", "http.request.resend_count": 1},
        {**common, "http.response.status_code": 401, "error.type": "401", "http.request.resend_count": 2},
        {**common, "http.response.status_code": 200, "http.request.resend_count": 3},
    ]
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR] * 3 + [StatusCode.UNSET]
    sent = [request.headers["traceparent"].rpartition("-")[0] for request in requests]
    assert sent == [f"00-{trace_of(outer):032x}-{id_of(span):016x}" for span in attempts]


async def test_a_token_has_a_trace_of_its_own(telemetry: Telemetry) -> None:
    """A token's fetch is a new trace, linked to the wait of the call that started it; its requests carry that trace."""
    async with FakeArzamed() as fake:
        milano = fake.add_clinic("Milano")
        fake.fail(503, on="token")
        async with ArzamedSession(base_url=fake.base_url, retry=QUICK, observers=[telemetry.observer]) as session:
            clinic = session.clinic(milano)
            await session.gather([clinic] * 3, lambda clinic: clinic.doctors.list())
        seen = [
            request.headers["traceparent"].rpartition("-")[0] for request in fake.requests if request.kind == "token"
        ]
    (token,) = telemetry.named("arzamed.token")
    waits = telemetry.named("arzamed.token_wait")
    calls = telemetry.named("arzamed.call equipe/doctors")
    requests = telemetry.named("POST")
    assert token.parent is None
    assert [link.context.span_id for link in token.links] == [id_of(waits[0])]
    assert trace_of(token) not in {trace_of(span) for span in (*waits, *calls)}
    assert {span.parent and span.parent.span_id for span in waits} == {id_of(span) for span in calls}
    assert [span.parent and span.parent.span_id for span in requests] == [id_of(token)] * 2
    assert seen == [f"00-{trace_of(token):032x}-{id_of(span):016x}" for span in requests]
    assert [attributes_of(span).get("http.request.resend_count") for span in requests] == [None, 1]
    assert {attributes_of(span)["url.full"] for span in requests} == {f"{fake.origin}/REDACTED"}
    assert [event.name for event in token.events] == ["arzamed.retry"]


async def test_a_stream_is_a_span_of_many_steps(telemetry: Telemetry) -> None:
    """A stream's span covers its reading, its repeats stand under it, and it is never the current span of its reader."""
    async with FakeArzamed() as fake:
        milano = fake.add_clinic("Milano", doctors=[f"Dr. Inventata {n}" for n in range(3000)])
        fake.cut_body(100_000)
        async with ArzamedSession(base_url=fake.base_url, retry=QUICK, observers=[telemetry.observer]) as session:
            with telemetry.tracer.start_as_current_span("caller") as caller:
                async with session.clinic(milano).doctors.stream() as doctors:
                    async for _ in doctors:
                        assert trace.get_current_span() is caller
                        assert (
                            sum(telemetry.values("arzamed.streams.open").values()) == 1
                            if _.name.endswith("7")
                            else True
                        )
                        if _.name == "Dr. Inventata 40":
                            break
                async for _ in session.clinic(milano).doctors.stream():
                    pass
    streams = telemetry.named("arzamed.stream equipe/doctors")
    attempts = telemetry.named("GET /api/v1/equipe/doctors")
    (outer,) = telemetry.named("caller")
    assert {span.parent and span.parent.span_id for span in streams} == {id_of(outer)}
    under = [span.parent and span.parent.span_id for span in attempts]
    assert sorted(map(under.count, map(id_of, streams))) == [1, len(attempts) - 1]
    assert {span.status.status_code for span in streams} == {StatusCode.UNSET}
    assert set(telemetry.values("arzamed.streams.open").values()) == {0}


async def test_a_failed_call_says_so(telemetry: Telemetry) -> None:
    """A call ends in error.type and the status ERROR; one that is cancelled has not failed; no path of a get is shown."""

    async def hang(request: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with (
        RawServer(scripted(answer(403))) as server,
        ArzamedSession(base_url=server.base_url, observers=[telemetry.observer]) as session,
    ):
        clinic = session.clinic(server.credentials())
        with pytest.raises(ForbiddenError):
            await clinic.get("equipe/inventata-7")
        server.handler = hang
        task = asyncio.create_task(clinic.get("equipe/inventata-7", route="equipe/{id}"))
        while server.api_requests < 2:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    (failed,) = telemetry.named("arzamed.call")
    (request,) = telemetry.named("GET")
    (cancelled,) = telemetry.named("arzamed.call equipe/{id}")
    assert attributes_of(failed)["error.type"] == "ForbiddenError"
    assert failed.status.status_code is StatusCode.ERROR
    assert attributes_of(request)["url.full"] == f"{server.base_url}/REDACTED"
    assert "url.template" not in attributes_of(request)
    assert attributes_of(cancelled)["error.type"] == "CancelledError"
    assert cancelled.status.status_code is StatusCode.UNSET
    assert telemetry.named("GET /api/v1/equipe/{id}")


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_nothing_secret_is_told(read: Read, telemetry: Telemetry) -> None:
    """No secret, no token, no raw path or query, no value and no word of a server is in any span or metric."""
    words = json.dumps({"error": f"{CANARIES[2]} is unknown"}).encode()
    async with (
        RawServer(scripted(answer(503, words), None, answer(200, words), answer(403, words))) as server,
        ArzamedSession(
            base_url=server.base_url, retry=QUICK, breaker=BreakerPolicy(), observers=[telemetry.observer]
        ) as session,
    ):
        telemetry.observer.watch(session)
        for _ in range(4):
            try:
                await read(session.clinic(server.credentials()))
            except ArzamedError:
                continue
        data = telemetry.reader.get_metrics_data()
    assert data is not None
    text = "".join(span.to_json() for span in telemetry.spans()) + data.to_json()
    assert "arzamed.clinic" in text
    assert [canary for canary in CANARIES if canary in text] == []


async def test_what_goes_along_is_the_users_choice() -> None:
    """By default no baggage leaves; a propagator of one's own decides, and None sends nothing."""
    for options, sent in (
        ({}, {"traceparent"}),
        ({"propagator": None}, set()),
        ({"propagator": W3CBaggagePropagator()}, {"baggage"}),
    ):
        telemetry = Telemetry(**options)
        before = otel_context.attach(baggage.set_baggage("user", "inventata"))
        try:
            async with (
                RawServer() as server,
                ArzamedSession(base_url=server.base_url, observers=[telemetry.observer]) as session,
            ):
                await session.clinic(server.credentials()).doctors.list()
        finally:
            otel_context.detach(before)
        (request,) = [request for request in server.requests if not request.is_token]
        assert {"traceparent", "baggage", "tracestate"} & set(request.headers) == sent
        assert all("baggage" not in request.headers for request in server.requests if request.is_token)
        telemetry.meters.shutdown()


async def test_a_fan_out_keeps_the_callers_trace(telemetry: Telemetry) -> None:
    """Each clinic's call in a fan-out stands under the span that was current where it was started."""
    async with FakeArzamed() as fake:
        clinics = [fake.add_clinic(f"Clinic {n}") for n in range(5)]
        async with ArzamedSession(base_url=fake.base_url, observers=[telemetry.observer]) as session:
            with telemetry.tracer.start_as_current_span("caller"):
                async with session.fan_out(clinics, lambda clinic: clinic.doctors.list()) as outcomes:
                    assert [outcome.ok async for outcome in outcomes] == [True] * 5
    (outer,) = telemetry.named("caller")
    calls = telemetry.named("arzamed.call equipe/doctors")
    assert [span.parent and span.parent.span_id for span in calls] == [id_of(outer)] * 5
    assert len({attributes_of(span)["arzamed.clinic"] for span in calls}) == 5


async def test_metrics(telemetry: Telemetry) -> None:
    """Requests are timed by the HTTP conventions, in the buckets they advise; calls, tokens, retries, circuits are counted."""
    async with (
        RawServer(scripted(answer(503), answer(500))) as server,
        ArzamedSession(
            base_url=server.base_url,
            retry=QUICK,
            breaker=BreakerPolicy(failure_threshold=2),
            observers=[telemetry.observer],
        ) as session,
    ):
        for _ in range(2):
            with pytest.raises(ArzamedError):
                await session.clinic(server.credentials()).doctors.list()
    where = {"server.address": "127.0.0.1", "server.port": server.port}
    read = {**where, "http.request.method": "GET", "url.template": "/api/v1/equipe/doctors"}
    asked = {**where, "http.request.method": "POST", "http.response.status_code": 200}

    def key(**attributes: Any) -> str:
        return json.dumps(attributes, sort_keys=True)

    assert telemetry.values("http.client.request.duration") == {
        key(**read, **{"http.response.status_code": 503, "error.type": "503"}): 1,
        key(**read, **{"http.response.status_code": 500, "error.type": "500"}): 1,
        key(**asked): 1,
    }
    (point, *_) = telemetry.points("http.client.request.duration")
    assert isinstance(point, HistogramDataPoint)
    assert list(point.explicit_bounds) == [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ]  # fmt: skip
    path = {"arzamed.path": "equipe/doctors"}
    calls = telemetry.values("arzamed.call.duration")
    assert sum(calls.values()) == 2
    assert key(**path, **{"error.type": "CircuitOpenError"}) in calls
    assert telemetry.values("arzamed.token.wait.duration") == {"{}": 1}
    assert telemetry.values("arzamed.token.requests") == {key(**{"http.response.status_code": 200}): 1}
    assert telemetry.values("arzamed.retries") == {key(**path): 1}
    assert telemetry.values("arzamed.circuit.changes") == {key(**{"arzamed.circuit.state": "open"}): 1}


async def test_clinics_are_in_metrics_only_where_wanted() -> None:
    """With clinics_in_metrics each measurement tells its clinic; without, none does."""
    for wanted in (False, True):
        telemetry = Telemetry(clinics_in_metrics=wanted)
        async with (
            RawServer(scripted(answer(503))) as server,
            ArzamedSession(base_url=server.base_url, retry=QUICK, observers=[telemetry.observer]) as session,
        ):
            telemetry.observer.watch(session)
            await session.clinic(server.credentials()).doctors.list()
            for name in (
                "http.client.request.duration", "arzamed.call.duration", "arzamed.token.wait.duration",
                "arzamed.token.requests", "arzamed.retries", "arzamed.requests.in_flight", "arzamed.requests.queued",
            ):  # fmt: skip
                points = telemetry.points(name)
                assert points
                assert all(("arzamed.clinic" in (point.attributes or {})) is wanted for point in points), name
        telemetry.meters.shutdown()


async def test_token_hosts_do_not_multiply_the_series() -> None:
    """Of 50 token endpoints eight have series of their own, and the others share one; with clinics in metrics each has one."""
    for wanted in (False, True):
        telemetry = Telemetry(clinics_in_metrics=wanted)
        options: dict[str, Any] = {"retry": RetryPolicy.none(), "observers": [telemetry.observer]}
        async with RawServer() as server, ArzamedSession(base_url=server.base_url, **options) as session:
            for number in range(1, 51):  # the server listens at one of these addresses, and nobody at the others
                url = f"http://127.0.0.{number}:{server.port}/token"
                clinic = session.clinic(ClinicCredentials(f"client-{number}", "invented", url, name=f"Clinic {number}"))
                with contextlib.suppress(TokenUnavailableError):
                    await clinic.doctors.list()
        points = [point.attributes or {} for point in telemetry.points("http.client.request.duration")]
        tokens = [point for point in points if point["http.request.method"] == "POST"]
        hosts = {point["server.address"] for point in tokens}
        assert (len(tokens), len(hosts)) == ((50, 50) if wanted else (9, 9))
        assert ("_OTHER" in hosts) is not wanted
        telemetry.meters.shutdown()


async def test_gauges_show_how_sessions_stand(telemetry: Telemetry) -> None:
    """Slots, connections, retries in hand and circuits are measured, of all watched sessions together; and no session is kept for that."""
    async with FakeArzamed() as fake:
        milano = fake.add_clinic("Milano", doctors=[f"Dr. Inventata {n}" for n in range(3000)])
        fake.slow_body(50_000, 30, times=2)
        options: dict[str, Any] = {"base_url": fake.base_url, "breaker": BreakerPolicy()}
        async with (
            ArzamedSession(**options) as one,
            ArzamedSession(**options) as other,
            one.clinic(milano).doctors.stream() as first,
            other.clinic(milano).doctors.stream() as second,
        ):
            for session, stream in ((one, first), (other, second)):
                telemetry.observer.watch(session)
                await anext(aiter(stream))
            assert telemetry.values("arzamed.requests.in_flight") == {"{}": 2}
            assert telemetry.values("arzamed.requests.queued") == {"{}": 0}
            used = telemetry.values("arzamed.pool.connections")
            assert used['{"arzamed.pool.state": "used"}'] == 2
            assert telemetry.values("arzamed.pool.limit") == {"{}": 200}
            assert telemetry.values("arzamed.pool.queued") == {"{}": 0}
            assert telemetry.values("arzamed.retries.in_hand") == {"{}": 200}
            assert telemetry.values("arzamed.circuits") == {'{"arzamed.circuit.state": "closed"}': 2}
            from_a_thread = await asyncio.to_thread(telemetry.values, "arzamed.requests.in_flight")
            assert from_a_thread == {"{}": 2}
    del session, stream, first, second, one, other
    gc.collect()
    assert telemetry.values("arzamed.pool.limit") == {}


async def test_a_session_is_looked_at_from_its_own_thread_only(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection in another thread never runs `stats` there; while the loop stands still it measures nothing."""
    import threading

    threads: set[int] = set()
    async with FakeArzamed() as fake, ArzamedSession(base_url=fake.base_url) as session:
        real = session.stats

        def stats() -> Any:
            threads.add(threading.get_ident())
            return real()

        monkeypatch.setattr(session, "stats", stats)
        telemetry.observer.watch(session)
        assert await asyncio.to_thread(telemetry.values, "arzamed.pool.limit") == {"{}": 100}
        assert threads == {threading.get_ident()}
        monkeypatch.setattr("arzamed_async.otel._gauges.WAIT_SECONDS", 0.01)
        monkeypatch.setattr("arzamed_async.otel._gauges.SAME_SECONDS", -1)
        found: list[dict[str, float]] = []
        thread = threading.Thread(target=lambda: found.append(telemetry.values("arzamed.pool.limit")))
        thread.start()
        thread.join()  # the loop stands still meanwhile
        assert found == [{}]


async def test_a_session_is_watched_on_its_loop(telemetry: Telemetry) -> None:
    """Outside of an event loop `watch` refuses; a loop that has ended is not looked at."""
    sessions = [ArzamedSession()]

    def outside() -> dict[str, float]:
        with pytest.raises(ConfigurationError, match="event loop"):
            telemetry.observer.watch(sessions[0])

        async def inside() -> None:
            telemetry.observer.watch(sessions[0])

        asyncio.run(inside())
        return telemetry.values("arzamed.pool.limit")

    assert await asyncio.to_thread(outside) == {}


async def test_a_pool_of_ones_own_is_not_measured(telemetry: Telemetry) -> None:
    """Of a session given by http= no connections are told; its own instrumentation sees that each request has a span."""
    spans: list[Any] = []

    async def look(*arguments: Any) -> None:
        has_span = otel_context.get_value(otel_context._SUPPRESS_HTTP_INSTRUMENTATION_KEY)
        spans.append((has_span, cast("ReadableSpan", trace.get_current_span()).name))

    traces = aiohttp.TraceConfig()
    traces.on_request_start.append(look)
    async with (
        FakeArzamed() as fake,
        aiohttp.ClientSession(trace_configs=[traces]) as http,
        ArzamedSession(base_url=fake.base_url, http=http, observers=[telemetry.observer]) as session,
    ):
        telemetry.observer.watch(session)
        await session.clinic(fake.add_clinic("Milano")).doctors.list()
        assert telemetry.values("arzamed.pool.connections") == telemetry.values("arzamed.pool.limit") == {}
        assert telemetry.values("arzamed.requests.in_flight") == {"{}": 0}
        assert all("traceparent" in request.headers for request in fake.requests)
    assert spans == [(True, "POST"), (True, "GET /api/v1/equipe/doctors")]


async def test_without_an_sdk_nothing_happens() -> None:
    """With the API alone there are no spans, nothing goes along with the requests, and calls work."""
    observer = OTelObserver(tracer_provider=trace.NoOpTracerProvider())
    async with RawServer() as server, ArzamedSession(base_url=server.base_url, observers=[observer]) as session:
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3
    assert all("traceparent" not in request.headers for request in server.requests)


async def test_a_deadline_ends_every_span(telemetry: Telemetry) -> None:
    """A call that its deadline ends leaves no span open, and the context as it was; two observers no less."""

    async def hang(request: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    before = otel_context.get_current()
    timeouts = Timeouts(total_seconds=0.05)
    other = Telemetry()
    observers = [telemetry.observer, other.observer]
    async with (
        RawServer(hang) as server,
        ArzamedSession(base_url=server.base_url, timeouts=timeouts, observers=observers) as session,
    ):
        with pytest.raises(ArzamedError):
            await session.clinic(server.credentials()).doctors.list()
        while min(len(each.spans()) for each in (telemetry, other)) < 4:
            await asyncio.sleep(0)
    other.meters.shutdown()
    assert otel_context.get_current() == before
    assert {span.name for span in telemetry.spans()} == {
        "arzamed.call equipe/doctors", "arzamed.token_wait", "arzamed.token", "POST",
    }  # fmt: skip

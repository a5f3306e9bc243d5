"""What a tracer is asked: which spans, under which, with which headers, and how they end."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from attrs import define, field
from support import RawServer, Request, answer, json_answer, token_answer
from test_tracebacks import CANARIES, READS, Read, assert_silent

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    BreakerPolicy,
    CircuitChanged,
    CredentialsRejectedError,
    Event,
    ForbiddenError,
    RetryPolicy,
    RetryScheduled,
    Span,
    Timeouts,
    TokenRequestFinished,
    TokenUnavailableError,
    Work,
)
from arzamed_async.testing import FakeArzamed, MemoryTokenStore

pytestmark = pytest.mark.asyncio

QUICK = RetryPolicy(initial_backoff_seconds=0.001)
INSIDE: contextvars.ContextVar[str] = contextvars.ContextVar("inside", default="")


@define(eq=False, slots=False)
class Kept:
    """A span that keeps what it is told."""

    work: Work
    parent: Kept | None
    wanted: Mapping[str, str]
    told: list[Event] = field(factory=list)
    ends: list[tuple[int | None, str]] = field(factory=list)

    def headers(self) -> Mapping[str, str]:
        return self.wanted

    def tell(self, event: Event, /) -> None:
        self.told.append(event)

    def end(self, status: int | None, error: str, /) -> None:
        self.ends.append((status, error))

    def line(self) -> str:
        """Return the span in a line: what it is, under what, and how it ended."""
        assert len(self.ends) == 1, self.work
        status, error = self.ends[0]
        above = "" if self.parent is None else f" < {self.parent.work.kind}"
        return f"{self.work.kind}{above} {self.work.path} {self.work.attempt} {status} {error}".rstrip()


@define(eq=False)
class Keeper:
    """A tracer that keeps its spans."""

    wanted: Mapping[str, str] = field(factory=lambda: {"traceparent": "00-invented"})
    spans: list[Kept] = field(factory=list)
    events: list[Event] = field(factory=list)

    def __call__(self, event: Event, /) -> None:
        self.events.append(event)

    def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
        assert parent is None or isinstance(parent, Kept)
        span = Kept(work, parent, self.wanted)
        self.spans.append(span)
        return span

    def lines(self) -> list[str]:
        return [span.line() for span in self.spans]


def session_of(server: RawServer, *observers: Any, **options: Any) -> ArzamedSession:
    return ArzamedSession(base_url=server.base_url, observers=observers, **{"retry": QUICK, **options})


def scripted(*answers: bytes | None) -> Callable[..., Any]:
    """Return a handler that gives the API's answers in order (None: it hangs up), then good ones."""
    left = list(answers)
    server = RawServer()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token or not left:
            await server.good(request, writer)
        elif (one := left.pop(0)) is None:
            writer.close()
        else:
            writer.write(one)

    return handler


async def test_a_call_holds_its_wait_and_its_attempts() -> None:
    """A retried list is one call; its wait for the token and each attempt stand under it; the token's fetch is by itself."""
    keeper = Keeper()
    async with RawServer(scripted(answer(503), None)) as server, session_of(server, keeper) as session:
        await session.clinic(server.credentials()).doctors.list({"patient": "inventata"})
    assert keeper.lines() == [
        "call equipe/doctors 0 None",
        "token_wait < call <token> 0 None",
        "token <token> 0 None",
        "request < token <token> 1 200",
        "request < call equipe/doctors 1 503",
        "request < call equipe/doctors 2 None TransportError",
        "request < call equipe/doctors 3 200",
    ]
    call = keeper.spans[0]
    assert [event for event in keeper.events if isinstance(event, RetryScheduled)] == call.told
    assert len(call.told) == 2
    assert {span.work.base_url for span in keeper.spans if span.work.path != "<token>"} == {server.base_url}
    assert {span.work.base_url for span in keeper.spans if span.work.path == "<token>"} == {
        f"http://127.0.0.1:{server.port}"
    }


async def test_every_request_carries_the_headers() -> None:
    """The headers of a request's span are sent with it, the token request and the repeat after a 401 included."""
    keeper = Keeper()
    async with RawServer(scripted(answer(503), answer(401))) as server, session_of(server, keeper) as session:
        await session.clinic(server.credentials()).doctors.list()
    assert [request.headers.get("traceparent") for request in server.requests] == ["00-invented"] * 5
    attempts = [s.work.attempt for s in keeper.spans if s.work.kind == "request" and s.work.method == "GET"]
    assert attempts == [1, 2, 3]


class Other(str):
    """Text that becomes another text wherever it is converted."""

    __slots__ = ()

    def __str__(self) -> str:
        return "a\r\nx-two: b"

    def __format__(self, spec: str) -> str:
        return str(self)


@pytest.mark.parametrize("lane", ["direct", "aiohttp"])
async def test_headers_that_would_do_harm_are_not_sent(lane: str) -> None:
    """A tracer's header replaces none of ours, frames no message, and breaks into no other; the rest is sent."""
    bad = {
        "authorization": "Bearer other", "Host": "elsewhere.invalid", "content-length": "7", "Transfer-Encoding": "chunked",
        "x-one": "a\r\nx-two: b", "x three": "c", "x-four": 4, "x-good": "yes", "Content-Type": "text/plain",
        "ACCEPT": "text/html", "user-agent": "other", "Accept-Encoding": "br", "TE": "trailers", "Keep-Alive": "9", "Cookie": "a=b",
        "Proxy-Authorization": "Basic x", "x-five": "perch\xe9", "X-Good": "twice", "Trailer": "x-six", "x_seven": "z", "x-eight": Other("i"),
    }  # fmt: skip
    http = {"http": aiohttp.ClientSession} if lane == "aiohttp" else {}
    async with RawServer() as server, session_of(server, Keeper(bad), **http) as session:  # type: ignore[arg-type]
        await session.clinic(server.credentials()).doctors.list()
        assert (session.stats().pool.lane == "direct") == (lane == "direct")
    assert len(server.requests) == 2
    for request in server.requests:
        headers = request.headers
        assert headers["x-good"] == "yes"
        assert not {"x-one", "x-two", "x three", "x-four", "transfer-encoding"} & set(headers)
        assert headers["host"] == f"127.0.0.1:{server.port}"
        assert headers["authorization"] != "Bearer other"
        assert headers["accept"] == "application/json"
        assert headers["user-agent"].startswith("arzamed-async/")
        assert headers["accept-encoding"] != "br"
        assert headers["x-eight"] == "i"
        assert not {"te", "keep-alive", "cookie", "proxy-authorization", "x-five", "trailer", "x_seven"} & set(headers)
        assert headers.get("content-type") == ("application/x-www-form-urlencoded" if request.is_token else None)


async def test_a_stream_is_one_span_until_it_is_read() -> None:
    """A stream's span starts at the first step and ends with the list; what takes it up again stands under it."""
    keeper = Keeper()
    async with FakeArzamed() as fake:
        names = [f"Dr. Inventata {n}" for n in range(3000)]
        milano = fake.add_clinic("Milano", doctors=names)
        fake.cut_body(100_000)
        async with ArzamedSession(base_url=fake.base_url, retry=QUICK, observers=[keeper]) as session:
            stream = session.clinic(milano).doctors.stream()
            assert keeper.spans == []
            count = 0
            async for _ in stream:
                count += 1
                if count < 3000:
                    assert keeper.spans[0].ends == []
            assert count == 3000
    assert keeper.lines() == [
        "stream equipe/doctors 0 None",
        "token_wait < stream <token> 0 None",
        "token <token> 0 None",
        "request < token <token> 1 200",
        "request < stream equipe/doctors 1 200",
        "request < stream equipe/doctors 2 200",
    ]
    assert [type(event) for event in keeper.spans[0].told] == [RetryScheduled]


@pytest.mark.parametrize("cut", [False, True])
async def test_a_stream_that_ends_early_ends_its_span(cut: bool) -> None:
    """Left by its reader it ends well; broken off for good it ends in that error's name."""
    keeper = Keeper()
    async with FakeArzamed() as fake:
        milano = fake.add_clinic("Milano", doctors=[f"Dr. Inventata {n}" for n in range(3000)])
        if cut:
            fake.cut_body(100_000, times=None)
        async with ArzamedSession(base_url=fake.base_url, retry=QUICK, observers=[keeper]) as session:
            try:
                async with session.clinic(milano).doctors.stream() as stream:
                    async for _ in stream:
                        if not cut:
                            break
            except ArzamedError:
                assert cut
    assert keeper.spans[0].ends == [(None, "StreamInterruptedError" if cut else "")]


async def test_failures_name_their_class() -> None:
    """A call ends in the class name of its error; a refused token in that of the wait, the fetch and the request."""
    keeper = Keeper()

    async def refuse(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(json_answer(401, {"error": "invalid_client"}))

    async with RawServer(scripted(answer(403))) as server, session_of(server, keeper) as session:
        clinic = session.clinic(server.credentials())
        with pytest.raises(ForbiddenError):
            await clinic.get("equipe/inventata-7")
        assert keeper.spans[0].line() == "call <raw> 0 None ForbiddenError"
        assert keeper.spans[-1].line() == "request < call <raw> 1 403"
    del keeper.spans[:]
    async with RawServer(refuse) as server, session_of(server, keeper) as session:
        with pytest.raises(CredentialsRejectedError):
            await session.clinic(server.credentials()).token()
    assert keeper.lines() == [
        "token_wait <token> 0 None CredentialsRejectedError",
        "token <token> 0 None CredentialsRejectedError",
        "request < token <token> 1 401 CredentialsRejectedError",
    ]


async def test_a_token_request_that_is_cut_short_is_told() -> None:
    """A token request that the deadline ends is an event and a span, too."""
    keeper = Keeper()

    async def silent(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    timeouts = Timeouts(total_seconds=0.05)
    async with RawServer(silent) as server, session_of(server, keeper, timeouts=timeouts) as session:
        with pytest.raises(ArzamedError):
            await session.clinic(server.credentials()).token()
        while not keeper.events:
            await asyncio.sleep(0)
    told = [(e.status, e.error) for e in keeper.events if isinstance(e, TokenRequestFinished)]
    assert told == [(None, "CancelledError")]
    assert keeper.spans[-1].line() == "request < token <token> 1 None CancelledError"
    assert keeper.spans[1].ends == [(None, TokenUnavailableError.__name__)]


async def test_work_runs_in_one_task_and_context() -> None:
    """What a tracer sets in a context variable at a span's start is still set at its end, for all but streams."""

    class Setting(Keeper):
        def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
            span = super().start_span(work, parent)
            assert isinstance(span, Kept)
            if work.kind != "stream":
                before = INSIDE.set(f"{INSIDE.get()}/{work.kind}")
                plain = span.end

                def end(status: int | None, error: str, /) -> None:
                    INSIDE.reset(before)  # raises in another context
                    plain(status, error)

                span.end = end  # type: ignore[method-assign]
            return span

    setting = Setting()
    inside: list[str] = []
    store = MemoryTokenStore()
    async with (
        RawServer(scripted(answer(503))) as server,
        session_of(server, setting, lambda event: inside.append(INSIDE.get()), token_store=store) as session,
    ):
        clinic = session.clinic(server.credentials())
        await session.gather([clinic] * 3, lambda clinic: clinic.doctors.list())
        async for _ in clinic.doctors.stream():
            pass
    assert [len(span.ends) for span in setting.spans] == [1] * len(setting.spans)
    assert INSIDE.get() == ""
    assert set(inside) == {"/call/token_wait/token/request", "/call", ""}  # a GET is over when its body has been read


async def test_a_tracer_that_raises_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a tracer or a span raises is logged by its class; the call, and the other tracers, go on."""

    class Broken:
        def __call__(self, event: Event, /) -> None:
            raise ValueError("invented-canary")

        def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
            if work.kind == "request":
                span = Mock()
                span.headers = span.tell = span.end = Mock(side_effect=ValueError("invented-canary"))
                return span
            raise ValueError("invented-canary")

    class Silent(Keeper):
        def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
            assert parent is None
            return None

    keeper = Keeper()
    async with RawServer() as server, session_of(server, Broken(), keeper, Silent()) as session:
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3
    assert len(keeper.lines()) == 5
    assert "ValueError" in caplog.text
    assert "invented-canary" not in caplog.text


@pytest.mark.parametrize("span", [5, "span", object(), [], False], ids=["number", "text", "object", "list", "false"])
async def test_what_is_no_span_disturbs_nothing(span: object, caplog: pytest.LogCaptureFixture) -> None:
    """A tracer that returns something else than a span is logged, and the call goes on without its span."""

    class Wrong:
        def __call__(self, event: Event, /) -> None: ...

        def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
            assert parent is None
            return span  # type: ignore[return-value]

    async with RawServer() as server, session_of(server, Wrong()) as session:
        clinic = session.clinic(server.credentials())
        assert len(await clinic.doctors.list()) == 3
        async with clinic.doctors.stream() as doctors:
            assert len([doctor async for doctor in doctors]) == 3
    assert "an observer raised AttributeError for request" in caplog.text


async def test_a_mock_is_no_tracer() -> None:
    """An observer is a tracer by its class: a mock that answers to every name is told events and nothing else."""
    mock = Mock()
    async with RawServer() as server, session_of(server, mock) as session:
        await session.clinic(server.credentials()).doctors.list()
    assert mock.call_count == 2
    assert mock.start_span.call_count == 0


async def test_a_circuit_is_told_to_the_call_that_turned_it() -> None:
    """The span of the call whose failure opens the circuit is told so."""
    keeper = Keeper()
    async with (
        RawServer(scripted(answer(500))) as server,
        session_of(server, keeper, breaker=BreakerPolicy(failure_threshold=1)) as session,
    ):
        clinic = session.clinic(server.credentials())
        for _ in range(2):
            with pytest.raises(ArzamedError):
                await clinic.doctors.list()
    calls = [span for span in keeper.spans if span.work.kind == "call"]
    assert calls[0].told == [CircuitChanged(clinic="Milano", state="open")]
    assert calls[1].ends == [(None, "CircuitOpenError")]


async def test_a_background_refresh_is_work_of_its_own() -> None:
    """A refresh that nobody waits for is a token without a wait, and ends after the call that started it."""
    keeper = Keeper()
    now = 0.0
    async with RawServer() as server, session_of(server, keeper, clock=lambda: now) as session:
        clinic = session.clinic(server.credentials())
        await clinic.doctors.list()
        now = 3400.0
        del keeper.spans[:]
        gate = asyncio.Event()
        good = server.good

        async def slowly(request: Request, writer: asyncio.StreamWriter) -> None:
            if request.is_token:
                await gate.wait()
                writer.write(token_answer("another.invented.token"))
            else:
                await good(request, writer)

        server.handler = slowly
        await clinic.doctors.list()
        kinds = [span.work.kind for span in keeper.spans]
        assert sorted(kinds) == ["call", "request", "request", "token"]
        token = keeper.spans[kinds.index("token")]
        assert token.parent is None
        assert token.ends == []
        gate.set()
        while not token.ends:
            await asyncio.sleep(0)
    assert token.ends == [(None, "")]


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_a_failure_of_traced_work_shows_nothing(read: Read) -> None:
    """With a tracer, too, no local of a frame of ours holds a secret, a token or a value."""
    keeper = Keeper()
    async with RawServer(scripted(answer(403), answer(503), None)) as server, session_of(server, keeper) as session:
        clinic = session.clinic(server.credentials()).with_options(retry=RetryPolicy.none())
        for _ in range(3):
            try:
                await read(clinic)
            except ArzamedError as error:
                assert_silent(error)
    assert not [canary for canary in CANARIES if canary in repr(keeper.spans) + repr(keeper.events)]

"""The direct lane: who owns a connection, what makes it unfit, and when aiohttp's own lane is taken."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import random
import re
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from support.fuzz_responses import parsed, response
from support.raw_server import (
    DOCTORS,
    RawServer,
    Request,
    answer,
    json_answer,
    settle,
    take_ordinary_lane,
    token_answer,
    until,
)

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    Clinic,
    PoolLimits,
    RetryPolicy,
    Timeouts,
    TransportError,
    UnauthorizedError,
)
from arzamed_async._concurrency.byte_budget import ByteBudget
from arzamed_async._http import direct
from arzamed_async._http.line import Exchange, Home, Line
from arzamed_async._http.parsed import Parsed

pytestmark = pytest.mark.asyncio

ONE_TRY = RetryPolicy.none()
GET: Any = SimpleNamespace(method="GET", body=None, may_repeat=True, new_connection=False)
STALE = json_answer(200, [{"name": "Dr. Stale", "profileImage": None}])


def chunked(value: Any, size: int = 50) -> bytes:
    body = json.dumps(value).encode()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def lane_of(session: ArzamedSession) -> direct.Direct:
    lane = session._engine.transport._direct
    assert lane is not None
    return lane


# What makes a connection unfit.


@pytest.mark.parametrize("good", [json_answer(200, DOCTORS), chunked(DOCTORS)], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "more", [STALE, b"HTTP/1.1 200 X\r\nContent-Le", b"H", b"x"], ids=["whole", "part", "byte", "no HTTP"]
)
async def test_what_comes_after_a_response_is_never_part_of_the_next(good: bytes, more: bytes) -> None:
    """Bytes after a response, a head or a part of one, in the same write: the next caller gets its own response."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if request.is_token else good + more)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=ONE_TRY) as session:
        clinic = session.clinic(server.credentials())
        outcomes: list[object] = []
        for _ in range(3):
            try:
                outcomes.append([doctor.name for doctor in await clinic.doctors.list()])
            except TransportError:  # what is no HTTP spoils the response before it, in either lane
                outcomes.append("not HTTP")
        names = [str(each["name"]) for each in DOCTORS]
        assert set(map(str, outcomes)) <= ({"not HTTP"} if more == b"x" else {str(names)}) | {str(names)}
        assert server.connections >= 3


async def test_a_connection_whose_response_says_close_is_not_used_again() -> None:
    """`Connection: close` and HTTP/1.0 end with their response, also where the server leaves the connection open."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        close = answer(200, b"[]", "Connection: close\r\n")
        writer.write(
            close if "x" in request.target else close.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"close", b"none")
        )

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        for path in ("x", "x", "y", "y"):
            assert (await clinic.get(path)).body == b"[]"
        assert server.connections == 4


async def test_interim_responses_are_passed_over() -> None:
    """100 and 103 before a response are no responses, and the connection is used again."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        interim = b"HTTP/1.1 100 X\r\n\r\nHTTP/1.1 103 X\r\nLink: x\r\n\r\n"
        writer.write(token_answer() if request.is_token else interim + json_answer(200, DOCTORS))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        for _ in range(3):
            assert len(await session.clinic(server.credentials()).doctors.list()) == 3
        assert server.connections == 1


async def test_a_paused_body_resumes_and_its_connection_is_used_again() -> None:
    """A chunked body far larger than its reader's buffer is read by a slow reader, and what is read late disturbs no other."""
    many = [{"name": f"Dr. Inventata {n}", "profileImage": None} for n in range(40_000)]
    large = chunked(many, 30_000)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target.endswith("doctors"):
            writer.write(large)
        else:
            await server.good(request, writer)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        count = 0
        async with clinic.doctors.batches() as batches:
            async for batch in batches:
                count += len(batch)
                if count % 7 == 0:
                    assert (await clinic.get("x")).status == 200
        assert count == 40_000
        assert (await clinic.get("x")).status == 200
        assert server.connections == 2


# Who owns a connection.


class Wire(asyncio.Transport):
    """A transport that writes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False
        self.unsent = 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Shelf(Home):
    """Where the line rests."""

    def __init__(self) -> None:
        self.idle: list[Line] = []
        self.budget = ByteBudget(67_108_864, 100)

    def take_back(self, line: Line) -> None:
        self.idle.append(line)

    def forget(self, line: Line) -> None: ...


def a_line(size: int = 4096) -> tuple[Line, Wire, Shelf, Callable[[bytes], None]]:
    """Return a line over a wire, and a function that feeds it."""
    loop, wire, home, view = asyncio.get_running_loop(), Wire(), Shelf(), memoryview(bytearray(size))
    connection: Any = type("Connection", (), {"protocol": ResponseHandler(loop), "close": lambda _: None})()
    line = Line(loop, home, None, connection, wire, view)

    def feed(data: bytes) -> None:
        line.get_buffer(-1)[: len(data)] = data
        line.buffer_updated(len(data))

    return line, wire, home, feed


@pytest.mark.parametrize("good", [json_answer(200, []), chunked([])], ids=["length", "chunked"])
async def test_only_the_owner_closes_a_line(good: bytes) -> None:
    """A caller that is cancelled after its response was read does not close the connection that another has taken."""
    line, wire, home, feed = a_line()
    first = line.send(GET, "/", " HTTP/1.1\r\n", {})
    feed(good)
    assert home.idle == [line]
    second = line.send(GET, "/", " HTTP/1.1\r\n", {})
    first.close()
    assert not wire.aborted
    assert line.owner is second
    second.close()
    assert wire.aborted


async def test_bytes_for_a_caller_that_has_gone_end_with_it() -> None:
    """Between a caller's cancellation and its end its response may come: the line is free, and the next gets its own."""
    line, _, home, feed = a_line()
    first = line.send(GET, "/", " HTTP/1.1\r\n", {})
    first.future.cancel()
    feed(STALE)
    first.close()
    assert home.idle == [line]
    second = line.send(GET, "/", " HTTP/1.1\r\n", {})
    feed(json_answer(200, []))
    received = second.future.result()
    assert not isinstance(received, BaseException)
    assert received[2].read_nowait() == b"[]"


async def test_bytes_nobody_asked_for_close_the_line() -> None:
    """Whatever comes over an idle line closes it, and is given to nobody."""
    line, wire, _, feed = a_line()
    feed(STALE)
    assert wire.aborted
    assert not line.fit()


async def test_a_response_to_half_a_request_ends_the_line() -> None:
    """Where a server responds before all of the request has been sent, the rest of it is not put before the next one."""
    line, wire, home, feed = a_line()
    exchange = line.send(GET, "/", " HTTP/1.1\r\n", {})
    wire.unsent = 7
    feed(json_answer(200, []))
    assert exchange.future.done()
    assert wire.aborted
    assert home.idle == []


@pytest.mark.parametrize("good", [json_answer(200, []), chunked([])], ids=["length", "chunked"])
async def test_a_read_that_fills_the_buffer_ends_the_line(good: bytes) -> None:
    """A TLS connection may hold more decrypted bytes after such a read: they are not the response to the next request."""
    line, wire, home, feed = a_line(len(good))
    exchange = line.send(GET, "/", " HTTP/1.1\r\n", {})
    feed(good)
    assert exchange.future.done()
    assert wire.aborted
    assert home.idle == []


@pytest.mark.parametrize("more", [b"", STALE], ids=["nothing", "more"])
async def test_a_body_that_ends_when_reading_resumes_gives_its_line_back_a_turn_later(more: bytes) -> None:
    """Bytes held by TLS while reading was paused arrive in the next turn of the loop: they close the line, and reach no caller."""
    line, wire, home, feed = a_line(2_000_000)
    exchange = line.send(GET, "/", " HTTP/1.1\r\n", {})
    feed(chunked("x" * 1_000_000, 300_000))
    received = exchange.future.result()
    assert not isinstance(received, BaseException)
    assert home.idle == []
    while not received[2].at_eof():
        received[2].read_nowait()
    exchange.close()
    assert home.idle == []
    assert not wire.aborted
    assert line.owner is exchange
    if more:
        feed(more)
    await settle()
    assert wire.aborted == bool(more)
    assert home.idle == ([] if more else [line])


async def test_a_line_closed_in_the_turn_in_which_its_response_ends_is_not_kept() -> None:
    """Where reading resumes on a connection that has just been closed, uvloop raises RuntimeError: the response is whole."""
    line, wire, home, feed = a_line()

    def resume() -> None:
        wire.abort()
        raise RuntimeError("the handler is closed")

    exchange = line.send(GET, "/", " HTTP/1.1\r\n", {})
    wire.resume_reading = resume  # type: ignore[method-assign]
    feed(chunked([]))
    received = exchange.future.result()
    assert not isinstance(received, BaseException)
    assert received[2].read_nowait() == b"[]"
    assert home.idle == []
    assert line.owner is None


async def test_a_body_that_has_left_pauses_no_other() -> None:
    """What is left of a response in its reader's buffer no longer has a hand on the connection."""
    line, wire, _, feed = a_line()
    exchange = line.send(GET, "/", " HTTP/1.1\r\n", {})
    feed(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n")
    received = exchange.future.result()
    assert not isinstance(received, BaseException)
    feed(b"0\r\n\r\n")
    line.send(GET, "/", " HTTP/1.1\r\n", {})
    touched: list[str] = []
    wire.pause_reading = lambda: touched.append("paused")  # type: ignore[method-assign]
    wire.resume_reading = lambda: touched.append("resumed")  # type: ignore[method-assign]
    assert received[2].read_nowait() == b"[]"
    assert touched == []


@pytest.mark.parametrize("began", [False, True], ids=["before its first byte", "within the body"])
async def test_a_failure_nobody_waits_for_is_no_loose_end(began: bool) -> None:
    """A connection lost while its caller is cancelled leaves no exception behind that was never retrieved."""
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    line, _, _, feed = a_line()
    exchange = line.send(GET, "/", " HTTP/1.1\r\n", {})
    if began:
        feed(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n[")
    line.connection_lost(ConnectionResetError(104, "reset"))
    del exchange, line, feed
    gc.collect()
    await settle()
    assert unheard == []


async def test_a_response_leaves_no_cycle() -> None:
    """What is made for one response is freed with it, without the collector."""
    line, _, _, feed = a_line()
    gc.collect()
    gc.disable()
    try:
        for good in (json_answer(200, []), chunked([])):
            exchange = line.send(GET, "/", " HTTP/1.1\r\n", {})
            feed(good)
            assert exchange.future.done()
            del exchange
        left = [each for each in gc.get_objects() if isinstance(each, Parsed | Exchange)]
    finally:
        gc.enable()
    assert left == []


async def test_a_lost_connection_leaves_aiohttps_books() -> None:
    """A connection that the server closes, idle or in use, is no longer among aiohttp's, nor among ours."""
    writers: list[asyncio.StreamWriter] = []

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if "hangs" in request.target:
            writer.close()
        else:
            await server.good(request, writer)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=ONE_TRY) as session:
        clinic = session.clinic(server.credentials())
        await asyncio.gather(clinic.doctors.list(), clinic.get("x"))
        pool: Any = session._engine.transport.pool
        assert len(pool._acquired) == 2
        for writer in writers:
            writer.close()
        await until(lambda: not pool._acquired)
        with pytest.raises(TransportError):
            await clinic.get("hangs")
        await until(lambda: not pool._acquired)
        assert not lane_of(session).idle_lines()
        assert session.stats().pool.open == 0


# What a failure teaches.


@pytest.mark.parametrize("silent", [False, True])
async def test_a_failure_makes_connections_as_old_suspect(silent: bool) -> None:
    """Where an idle connection fails before its first byte, all that were idle as long are closed: the next is a new one."""
    gate = asyncio.Event()
    forgotten = False
    served: list[asyncio.StreamWriter] = []
    old: set[asyncio.StreamWriter] = set()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        if writer in old:
            if silent:
                await asyncio.Event().wait()
            writer.transport.abort()
            return
        if not forgotten and not request.is_token:
            await gate.wait()
        await server.good(request, writer)

    timeouts = Timeouts(read_seconds=0.2)
    retry = RetryPolicy(max_attempts=2, initial_backoff_seconds=0.001)
    async with (
        RawServer(handler) as server,
        ArzamedSession(
            base_url=server.base_url, timeouts=timeouts, retry=retry, pool=PoolLimits(connections=20)
        ) as session,
    ):
        clinic = session.clinic(server.credentials())
        await clinic.token()
        calls = [asyncio.create_task(clinic.doctors.list()) for _ in range(10)]
        await until(lambda: len(served) == 11)
        gate.set()
        await asyncio.gather(*calls)
        old.update(served)
        forgotten = True
        served.clear()
        assert len(await clinic.doctors.list()) == 3
        assert len(served) == 2
        assert served[0] in old
        assert served[1] not in old
        await until(lambda: session.stats().pool.open == 1)


async def test_the_newest_idle_connection_is_used_first() -> None:
    """Of several idle connections the one that was used last is used again."""
    served: list[asyncio.StreamWriter] = []
    gate = asyncio.Event()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        if "last" in request.target:
            await gate.wait()
        await server.good(request, writer)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        await clinic.token()
        last = asyncio.create_task(clinic.get("last"))
        await until(lambda: len(served) == 2)
        await clinic.get("x")
        gate.set()
        await last
        await clinic.get("y")
        assert len(set(served)) == 2
        assert served[3] is served[1]


async def test_idle_connections_are_closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that nobody has used for some time is closed, and leaves no timer behind."""
    monkeypatch.setattr(direct, "IDLE_SECONDS", 0.01)
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        await session.clinic(server.credentials()).doctors.list()
        await until(lambda: session.stats().pool.open == 0)
        await until(lambda: lane_of(session)._sweep is None)
        assert len(await session.clinic(server.credentials()).doctors.list()) == 3


# Which lane is taken.


async def first_call(session: ArzamedSession, server: RawServer) -> str:
    assert len(await session.clinic(server.credentials()).doctors.list()) == 3
    return session.stats().pool.lane


async def test_the_lane_is_direct(caplog: pytest.LogCaptureFixture) -> None:
    """With the aiohttp that is installed requests take the direct lane; stats() and a DEBUG record say so."""
    caplog.set_level(logging.DEBUG, "arzamed_async")
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        assert session.stats().pool.lane == ""
        assert await first_call(session, server) == "direct"
    assert "requests take the lane: direct" in caplog.messages


async def test_what_has_to_see_requests_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session given, a proxy, proxies from the environment, trace configurations and a patched session take aiohttp's lane."""
    async with RawServer() as server:
        async with aiohttp.ClientSession() as http, ArzamedSession(base_url=server.base_url, http=http) as session:
            assert await first_call(session, server) == "aiohttp: the aiohttp session is given as http="
        async with ArzamedSession(base_url=server.base_url, http=aiohttp.ClientSession) as session:
            assert await first_call(session, server) == "aiohttp: the aiohttp session is given as http="
        async with ArzamedSession(base_url=server.base_url, trust_env=True) as session:
            assert await first_call(session, server) == "aiohttp: proxies come from the environment"
        async with ArzamedSession(base_url=server.base_url, proxy="http://127.0.0.1:9") as session:
            with pytest.raises(ArzamedError):
                await first_call(session, server)
            assert session.stats().pool.lane == "aiohttp: there is a proxy"
        async with ArzamedSession(base_url=server.base_url) as session:
            assert await first_call(session, server) == "direct"
            with monkeypatch.context() as patch:
                take_ordinary_lane(patch)
                assert await first_call(session, server) == "aiohttp: ClientSession._request is not aiohttp's own"
            assert await first_call(session, server) == "direct"


async def test_a_patch_made_before_the_import_is_seen() -> None:
    """A method that was replaced before this package was imported, under its name and module, takes aiohttp's lane."""
    script = """if True:
        import asyncio, functools, aiohttp
        genuine = aiohttp.ClientSession._request
        @functools.wraps(genuine)
        async def request(self, *args, **options):
            return await genuine(self, *args, **options)
        aiohttp.ClientSession._request = request
        from arzamed_async._http.handler import is_patched
        print(is_patched())
    """
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert (await run.communicate())[0].split() == [b"True"]


async def test_tracers_that_add_trace_configurations_see_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What instruments aiohttp by wrapping ClientSession.__init__ (OpenTelemetry, Sentry) is called for every request."""
    seen: list[str] = []
    original: Any = aiohttp.ClientSession.__init__

    def init(self: aiohttp.ClientSession, *args: Any, **options: Any) -> None:
        config = aiohttp.TraceConfig()

        async def on_start(_: object, __: object, parameters: aiohttp.TraceRequestStartParams) -> None:
            seen.append(parameters.method)

        config.on_request_start.append(on_start)
        original(self, *args, **{**options, "trace_configs": [*(options.get("trace_configs") or []), config]})

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", init)
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        assert await first_call(session, server) == "aiohttp: there are trace configurations"
    assert seen == ["POST", "GET"]


# Both lanes, response for response.


class Generated(RawServer):
    """Responds to request n with case n, in pieces; closes after a response that aiohttp would not reuse the connection for."""

    def __init__(self, seed: int) -> None:
        super().__init__(self.generated)
        self.seed = seed

    def case(self, number: int) -> tuple[list[bytes], bool]:
        chance = random.Random(self.seed * 1_000_000 + number)
        data = response(chance)
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice([0, 0, 1, 2])))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        return pieces, parsed(asyncio.get_running_loop(), data) is None

    async def generated(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
            return
        pieces, closes = self.case(int(request.target.rpartition("/")[2]))
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        if closes:
            writer.close()


async def outcomes(server: Generated, cases: range) -> list[object]:
    """Return how each call ends: what is read, or the error."""
    ends: dict[int, object] = {}
    numbers = iter(cases)
    # The server closes what a client may take for reusable: who has sent a request over it by then sends it again.
    again = RetryPolicy(
        max_attempts=4, initial_backoff_seconds=1e-9, max_backoff_seconds=1e-9, budget=math.inf, statuses=frozenset()
    )
    timeouts = Timeouts(read_seconds=1.0)  # an incomplete response that the server does not close
    async with ArzamedSession(
        base_url=server.base_url, retry=again, timeouts=timeouts, pacing=None, wall_clock=lambda: 1.7e9
    ) as session:

        async def work(clinic: Clinic) -> None:
            for number in numbers:
                try:
                    read = await clinic.get(f"x/{number}")
                    # (aiohttp before 3.14.5 leaves the white space after a header's value.)
                    headers = {name: re.sub(r"[ \t]+(?=, |$)", "", value) for name, value in read.headers.items()}
                    ends[number] = (read.status, headers, read.body)
                except ArzamedError as error:
                    # Which TransportError the last attempt met is chance: the connection may have been closed before it.
                    lost = isinstance(error, TransportError)
                    # What is known of the token depends on the responses before, which come in any order.
                    rejected = isinstance(error, UnauthorizedError)
                    ends[number] = (
                        "lost" if lost else re.sub(r" after \d attempts", "", str(error.args[0] if rejected else error))
                    )

        clinic = session.clinic(server.credentials())
        await clinic.token()
        await asyncio.gather(*(work(clinic) for _ in range(8)))
    return [ends[number] for number in cases]


async def compare(seed: int, cases: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Return where the lanes differ."""
    async with Generated(seed) as server:
        mine = await outcomes(server, range(cases))
        with patch.context() as context:
            take_ordinary_lane(context)
            theirs = await outcomes(server, range(cases))
    pairs = zip(range(cases), mine, theirs, strict=True)
    return [f"{n}: {server.case(n)[0]}\n  {a}\n  {b}" for n, a, b in pairs if a != b]


async def test_both_lanes_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 600 responses, good and damaged, in pieces, each ends in both lanes alike: as what was read, or as which error."""
    assert await compare(1, 600, monkeypatch) == []


async def test_the_place_of_the_last_url_is_one_of_those_kept() -> None:
    """Where origins are dropped, the last request's among them, the next request to it does not use what was dropped."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        await clinic.doctors.list()
        direct: Any = session._engine.transport._direct
        for line in direct.idle_lines():
            line.close()
        await settle()
        for number in range(300):
            direct._place(f"http://invented-{number}.example/token")
        await clinic.doctors.list()
        assert [line.place for line in direct.idle_lines()] == [direct._origins[f"http://127.0.0.1:{server.port}"]]

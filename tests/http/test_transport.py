"""One attempt: what goes wrong with connections, named; and the same calls under aioresponses."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator

import aiohttp
import pytest
import trustme
from aioresponses import aioresponses
from attrs import evolve
from support import CLOCK_BIT
from support.raw_server import DOCTORS, TOKEN, RawServer, Request, json_answer, unfit

from arzamed_async import (
    ArzamedSession,
    ClinicCredentials,
    ConfigurationError,
    Doctor,
    Event,
    ForbiddenError,
    PoolLimits,
    RetryPolicy,
    ServiceUnavailableError,
    Span,
    Timeouts,
    TokenUnavailableError,
    TransportError,
    Work,
)
from arzamed_async._http.failures import transport_error

QUICK = RetryPolicy(max_attempts=2, initial_backoff_seconds=0.0001)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port on which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def fault_of(session: ArzamedSession, credentials: ClinicCredentials) -> str:
    with pytest.raises(TransportError) as caught:
        await session.clinic(credentials).doctors.list()
    assert caught.value.__context__ is None
    return str(caught.value)


class Relay:
    """Hands bytes to a server and back; what is frozen says nothing any more, and only sees the other side go."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._frozen: set[asyncio.StreamWriter] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.open = 0

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def freeze(self) -> None:
        """Freeze the connections there are; later ones work."""
        self._frozen |= self._writers

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        back_reader, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, back}
        answers = asyncio.create_task(self._pump(back_reader, writer))
        await self._pump(reader, back)
        self.open -= 1
        for each in (back, writer):
            each.transport.abort()
        await answers

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if writer not in self._frozen:
                    writer.write(data)


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.asyncio
async def test_tls_is_verified(authority: trustme.CA) -> None:
    """A certificate of an unknown authority, or for another host, is refused and not tried again; a good one is used."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    for name, context, words in (
        ("127.0.0.1", None, "the TLS certificate is (signed by an unknown authority|self-signed)"),
        ("other.invented.example", trusting, "the TLS certificate is for another (address|host name)"),
        ("127.0.0.1", trusting, ""),
    ):
        async with (
            RawServer(tls=server_context(authority, name)) as server,
            ArzamedSession(base_url=f"https://127.0.0.1:{server.port}", ssl_context=context, retry=QUICK) as session,
        ):
            credentials = ClinicCredentials("id", "invented", f"https://127.0.0.1:{server.port}/token", name="Milano")
            if words:
                with pytest.raises(TokenUnavailableError, match=words) as caught:
                    await session.clinic(credentials).token()
                assert caught.value.attempts == 1
            else:
                assert len(await session.clinic(credentials).doctors.list()) == 3


@pytest.mark.asyncio
async def test_a_server_that_falls_silent_leaves_no_tls_sockets_behind(authority: trustme.CA) -> None:
    """TLS connections given up do not wait for the other side's farewell: never more than `connections`, 0 at the end.

    (asyncio would keep each for half a minute.)
    """

    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.001)

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with (
        RawServer() as tokens,
        RawServer(tls=server_context(authority, "127.0.0.1")) as server,
        Relay(server.port) as relay,
    ):
        server.handler = hang
        session = ArzamedSession(
            base_url=f"https://127.0.0.1:{relay.port}", ssl_context=trusting, pool=PoolLimits(connections=3)
        )
        clinic = session.clinic(tokens.credentials())
        await clinic.token()
        for number in range(1, 4):
            calls = [asyncio.create_task(clinic.doctors.list()) for _ in range(3)]
            await until(lambda number=number: len(server.requests) == 3 * number)  # type: ignore[misc]
            await until(lambda: relay.open <= 3)
            relay.freeze()
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
        await session.aclose()
        await until(lambda: relay.open == 0)


@pytest.mark.asyncio
async def test_a_read_over_bad_tls_is_not_retried(authority: trustme.CA) -> None:
    """A read whose server's certificate does not verify fails after one attempt."""
    async with (
        RawServer() as token_server,
        RawServer(tls=server_context(authority, "127.0.0.1")) as server,
        ArzamedSession(base_url=f"https://127.0.0.1:{server.port}", retry=QUICK) as session,
    ):
        text = await fault_of(session, token_server.credentials())
    assert re.search(r"Milano: GET equipe/doctors: the TLS certificate is .* \(127\.0\.0\.1:\d+\)\. [CP]", text)


@pytest.mark.asyncio
async def test_faults_are_named(free_port: int) -> None:
    """Refused, not found, plaintext where TLS is spoken, silence, garbage: each says so, and where."""

    async def speak_plainly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 X\r\n\r\n")
        writer.close()

    async with RawServer() as tokens, await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as plain:
        credentials = tokens.credentials()
        for base_url, words in (
            (f"http://127.0.0.1:{free_port}", "connection refused"),
            ("https://no-such-host.invalid", "not found|the name server (did not respond|failed)"),
            (f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}", "TLS handshake failed"),
        ):
            async with ArzamedSession(base_url=base_url, retry=QUICK) as session:
                assert re.search(rf"({words})[^.]* \(", await fault_of(session, credentials))

    async def garbage(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        writer.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")

    async with RawServer(garbage) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        assert "the response is not HTTP" in await fault_of(session, server.credentials())


@pytest.mark.asyncio
async def test_a_proxy_that_is_not_there(free_port: int) -> None:
    """A proxy that cannot be reached is named as such."""
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, proxy=f"http://127.0.0.1:{free_port}", retry=QUICK) as session,
    ):
        with pytest.raises(TokenUnavailableError, match="proxy connection failed"):
            await session.clinic(server.credentials()).token()


@pytest.mark.asyncio
async def test_connecting_too_long() -> None:
    """A connection that does not come about within connect_seconds says so."""
    with socket.socket() as full:  # a backlog that is full: the system answers no more
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        timeouts = Timeouts(connect_seconds=0.1)
        async with (
            RawServer() as server,
            ArzamedSession(base_url=f"http://127.0.0.1:{port}", retry=QUICK, timeouts=timeouts) as session,
        ):
            assert "no connection within connect_seconds" in await fault_of(session, server.credentials())
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ssl.SSLError(1, "secret"), "the TLS connection failed (h)"),
        (OSError(104, "secret"), "connection reset by peer (h)"),
        (OSError("secret"), "the connection failed (h)"),
        (RuntimeError("secret"), "the connection failed (RuntimeError) (h)"),
        (aiohttp.ClientPayloadError("secret"), "the body was cut (h)"),
        (TimeoutError("secret"), "read timed out: no data within read_seconds (h)"),
    ],
)
def test_foreign_exceptions_become_facts(error: Exception, words: str) -> None:
    """What a foreign exception says is never repeated; what it is, is."""
    fault = transport_error(error, "h")
    assert fault.reason == words
    assert fault.transient is (not isinstance(error, RuntimeError))


URL = "https://auth.invented.example/milano/token"
CREDENTIALS = ClinicCredentials("id", "invented", URL, name="Milano")
API = "https://api.invented.example/v1"
GRANT = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}


@pytest.mark.asyncio
async def test_doctors_under_aioresponses(mocked: aioresponses) -> None:
    """doctors.list and the token work under aioresponses, as users have it, and its record shows the requests."""
    mocked.post(URL, payload=GRANT)
    mocked.get(f"{API}/equipe/doctors?day=2026-01-02", payload=DOCTORS)
    async with ArzamedSession(base_url=API) as session:
        doctors = await session.clinic(CREDENTIALS).doctors.list({"day": "2026-01-02"})
    assert doctors[0] == Doctor("Dr. Inventata 0", None)
    (sent,) = [calls[0].kwargs for (method, _), calls in mocked.requests.items() if method == "GET"]
    assert sent["headers"]["Authorization"] == f"Bearer {TOKEN}"
    assert sent["allow_redirects"] is False


@pytest.mark.asyncio
async def test_the_token_path_under_aioresponses(mocked: aioresponses) -> None:
    """One token for many callers, retries and refusals work under aioresponses too."""
    mocked.post(URL, status=503)
    mocked.post(URL, payload=GRANT)
    mocked.get(f"{API}/equipe/doctors", exception=aiohttp.ServerDisconnectedError())
    mocked.get(f"{API}/equipe/doctors", status=401, payload={"error": "expired"})
    mocked.post(URL, payload=GRANT)
    mocked.get(f"{API}/equipe/doctors", status=403, payload={"error": "revoked"})
    async with ArzamedSession(base_url=API, retry=QUICK) as session:
        clinic = session.clinic(evolve(CREDENTIALS, name="Roma"))
        tokens = await asyncio.gather(*(clinic.token() for _ in range(50)))
        assert {token.access_token for token in tokens} == {TOKEN}
        with pytest.raises(ForbiddenError, match="Roma.*revoked"):
            await clinic.doctors.list()
    assert sum(len(calls) for calls in mocked.requests.values()) == 6


@pytest.mark.asyncio
async def test_a_closed_pool_of_the_caller() -> None:
    """A caller's pool that is closed under the session is a ConfigurationError, not a retry."""
    async with RawServer() as server:
        http = aiohttp.ClientSession()
        async with ArzamedSession(base_url=server.base_url, http=http) as session:
            await session.clinic(server.credentials()).token()
            await http.close()
            with pytest.raises(ConfigurationError, match="GET equipe/doctors: the aiohttp session .* is closed"):
                await session.clinic(server.credentials()).doctors.list()


@pytest.mark.asyncio
async def test_the_wait_for_a_connection_is_not_the_servers_silence() -> None:
    """A call that waits for the pool longer than read_seconds is answered; one whose server is silent so long is not."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        body = b"[" + b" " * 40 + b"]"
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(body))
        if request.target.endswith("silent"):
            await asyncio.Event().wait()
        for start in range(0, len(body), 2):
            writer.write(body[start : start + 2])
            await writer.drain()
            await asyncio.sleep(0.02)

    async with (
        RawServer(handler) as server,
        ArzamedSession(
            base_url=server.base_url,
            retry=RetryPolicy.none(),
            timeouts=Timeouts(read_seconds=0.25),
            pool=PoolLimits(connections=1),
        ) as session,
    ):
        clinic = session.clinic(server.credentials())
        await clinic.token()
        assert await asyncio.gather(*(clinic.doctors.list() for _ in range(3))) == [[], [], []]
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(TransportError, match="no data within read_seconds") as caught:
            await clinic.get("silent")
        assert loop.time() >= started + 0.25 - CLOCK_BIT
        assert caught.value.__context__ is None
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        assert session.stats().pool.in_use == 0


@pytest.mark.asyncio
async def test_a_cancellation_in_the_moment_of_silence_is_obeyed() -> None:
    """When a caller cancels in the very tick in which the read times out, the caller's word counts."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        await asyncio.Event().wait()

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, timeouts=Timeouts(read_seconds=0.1)) as session,
    ):
        clinic = session.clinic(server.credentials())
        await clinic.token()
        task = asyncio.create_task(clinic.doctors.list())
        while not server.api_requests:
            await asyncio.sleep(0.001)
        assert session._engine.lifetime._scopes is not None
        (scope,) = session._engine.lifetime._scopes
        scope.ring(asyncio.get_running_loop().time() + 0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.api_requests == 1


@pytest.mark.asyncio
async def test_a_lost_connection_costs_one_request_an_attempt() -> None:
    """Aiohttp would send a GET again by itself when its connection is lost, fresh or kept; here it may not."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        if server.api_requests == 2:
            return await server.good(request, writer)
        writer.close()

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none()) as session,
    ):
        clinic = session.clinic(server.credentials())
        with pytest.raises(TransportError, match="the connection was lost before the response"):
            await clinic.doctors.list()
        assert server.api_requests == 1
        assert len(await clinic.doctors.list()) == 3
        with pytest.raises(TransportError, match="the connection was lost before the response"):
            await clinic.doctors.list()
        assert server.api_requests == 3


class HeadTracer:
    """Sets an event when the head of a response to a GET has arrived."""

    def __init__(self, head: asyncio.Event) -> None:
        self.head = head

    def __call__(self, event: Event, /) -> None: ...

    def start_span(self, work: Work, parent: Span | None, /) -> Span | None:
        return HeadSpan(self.head) if (work.kind, work.method) == ("request", "GET") else None


class HeadSpan:
    """The span of a request: it ends when the head has arrived."""

    def __init__(self, head: asyncio.Event) -> None:
        self.head = head

    def headers(self) -> dict[str, str]:
        return {}

    def tell(self, event: Event, /) -> None: ...

    def end(self, status: int | None, error: str, /) -> None:
        self.head.set()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "piece", [b"\nno chunk\r\n", b"\n5\r\ntoo long for five\r\n", b"\x00", b"\nfffffffffffffffffffff\r\n", b"\n0\r\x00"]
)
@pytest.mark.parametrize("status", [200, 503])
async def test_a_body_that_turns_into_something_else_ends_at_once(piece: bytes, status: int) -> None:
    """Chunks that break off into what is no HTTP are a cut body at once, not a silence to be waited for."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        writer.write(b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r" % status)  # half a chunk's end
        await writer.drain()
        await head.wait()
        writer.write(piece)

    head = asyncio.Event()
    endless = Timeouts(total_seconds=float("inf"), read_seconds=float("inf"))
    async with (
        RawServer(handler) as server,
        ArzamedSession(
            base_url=server.base_url, retry=RetryPolicy.none(), timeouts=endless, observers=[HeadTracer(head)]
        ) as session,
    ):
        async with asyncio.timeout(60):
            with pytest.raises(TransportError if status == 200 else ServiceUnavailableError) as caught:
                await session.clinic(server.credentials()).doctors.list()
    assert ("the body was cut" in str(caught.value)) == (status == 200)


@pytest.mark.asyncio
@pytest.mark.parametrize("seen", [True, False], ids=["read", "unread"])
async def test_an_answer_nobody_asked_for_is_no_other_clinics(seen: bool) -> None:
    """What a server sends over an idle connection is not taken for the next answer, also if the loop was too busy to see it."""
    stale = json_answer(200, [{"name": "Dr. Stale", "profileImage": None}])
    connections: list[asyncio.StreamWriter] = []

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if not request.is_token:
            connections.append(writer)
        await server.good(request, writer)

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        milano, roma = (session.clinic(server.credentials(name)) for name in ("Milano", "Roma"))
        await roma.token()
        assert len(await milano.doctors.list()) == 3
        is_unfit = unfit(session)
        connections[0].write(stale)  # goes to the system at once
        for _ in range(1000 if seen else 0):
            if is_unfit():
                break
            await asyncio.sleep(0.001)
        assert [doctor.name for doctor in await roma.doctors.list()] == [str(each["name"]) for each in DOCTORS]
        assert len(connections) == 2
        assert connections[1] is not connections[0]


def whole_answer(body: bytes, head: str) -> bytes:
    return f"HTTP/1.1 200 X\r\n{head}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("pieces", "reset", "words"),
    [
        (
            [whole_answer(b"2\r\n[{\r\n", "Transfer-Encoding: chunked"), b"zz\r\n"],
            False,
            "the body was cut|is not HTTP",
        ),
        ([whole_answer(b"[{", "Content-Type: application/json")], True, "the body was cut|reset by peer"),
        (
            [b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: invented\r\n\r\n"],
            False,
            "HTTP 101, which is not a final",
        ),
    ],
    ids=["no chunk", "reset without a length", "101"],
)
@pytest.mark.asyncio
async def test_what_is_no_answer_is_told_at_once(pieces: list[bytes], reset: bool, words: str) -> None:
    """A chunk that is none, a reset where the body ends with its connection, and a 101 are no answers, and none is waited for."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    endless = Timeouts(total_seconds=math.inf, read_seconds=math.inf)
    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=RetryPolicy.none(), timeouts=endless) as session,
    ):
        async with asyncio.timeout(60):
            with pytest.raises(TransportError, match=words) as caught:
                await session.clinic(server.credentials()).get("equipe/doctors")
        assert caught.value.__context__ is None
        assert session.stats().pool.in_use == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("coding", ["gzip", "invented", "gzip, chunked", "chunke", "identity"])
async def test_a_transfer_coding_that_nobody_asked_for_is_no_answer(coding: str) -> None:
    """Bytes in a transfer coding that is not undone are never handed out as the body; `identity` is none."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        chunks = b"2\r\n[]\r\n0\r\n\r\n" if coding.endswith("chunked") else b"[]"
        writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: %b\r\nConnection: close\r\n\r\n" % coding.encode() + chunks)
        writer.close()

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        clinic = session.clinic(server.credentials())
        if coding == "identity":
            assert (await clinic.get("x")).body == b"[]"
            return
        with pytest.raises(TransportError, match="a transfer coding that was not requested"):
            await clinic.get("x")
        with pytest.raises(TransportError, match="a transfer coding that was not requested"):
            await clinic.doctors.list()

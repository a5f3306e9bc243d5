"""What comes before a request (look-up, TCP, proxy, TLS): it ends with connect_seconds, and holds up no other host."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp.abc import AbstractResolver
from support.raw_server import RawServer, take_ordinary_lane

from arzamed_async import (
    ArzamedError,
    ArzamedSession,
    ClinicCredentials,
    Failure,
    RetryPolicy,
    Timeouts,
    TokenUnavailableError,
)
from arzamed_async._concurrency.threads import Threads
from arzamed_async._http import resolver as resolver_module
from arzamed_async._http.resolver import Resolver

pytestmark = pytest.mark.asyncio

ONE_TRY = RetryPolicy.none()
LANES = ["direct", "ordinary"]
GOOD = [f"good{n}.invalid" for n in range(30)]
DEAD = [f"dead{n}.invalid" for n in range(12)]


class Names:
    """Stands where socket.getaddrinfo stands: `.invalid` is this machine, and names that begin with `dead` hang."""

    def __init__(self) -> None:
        self.real: Any = socket.getaddrinfo
        self.gate = threading.Event()
        self.asked: list[str] = []
        self.inside = self.most = 0

    def look_up(self, host: Any, *args: Any, **options: Any) -> Any:
        if not str(host).endswith(".invalid"):
            return self.real(host, *args, **options)
        self.asked.append(host)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if host.startswith("dead"):
                self.gate.wait(300)
                raise socket.gaierror(socket.EAI_AGAIN, "an invented fault")
            return self.real("127.0.0.1", *args, **options)
        finally:
            self.inside -= 1


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    yield names
    names.gate.set()
    for each in threading.enumerate():
        if each.name == "arzamed-blocking":
            each.join(60)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.asynccontextmanager
async def tls_server(authority: trustme.CA) -> AsyncIterator[tuple[RawServer, ssl.SSLContext]]:
    """Run a server behind TLS under all the names; yields it and a context that trusts it."""
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("api.invalid", *GOOD).configure_cert(context)
    authority.configure_trust(trusting)

    async with RawServer(tls=context) as server:
        yield server, trusting


def clinic_at(host: str, port: int) -> ClinicCredentials:
    return ClinicCredentials("id", "invented", f"https://{host}:{port}/token", name=host)


@pytest.mark.parametrize("order", ["hanging first", "hanging last", "mixed"])
async def test_twelve_hosts_that_hang_do_not_hold_up_thirty_others(
    order: str, names: Names, authority: trustme.CA
) -> None:
    """Of 42 token hosts 12 hang: 30 clinics are read at once, 12 fail after connect_seconds an attempt, in 12 threads."""
    hosts = {"hanging first": DEAD + GOOD, "hanging last": GOOD + DEAD}.get(order, [])
    for n in range(12 if order == "mixed" else 0):
        hosts += [*GOOD[2 * n : 2 * n + 2], DEAD[n]] if n < 11 else [*GOOD[22:], DEAD[n]]
    timeouts, retry = Timeouts(connect_seconds=1.5), RetryPolicy(max_attempts=2, initial_backoff_seconds=0.001)
    async with tls_server(authority) as (server, trusting):
        session = ArzamedSession(
            base_url=f"https://api.invalid:{server.port}/api", ssl_context=trusting, timeouts=timeouts, retry=retry
        )
        began = time.monotonic()
        good: list[float] = []
        async with session:
            clinics = [clinic_at(host, server.port) for host in hosts]
            async with session.fan_out(clinics, lambda clinic: clinic.doctors.list()) as outcomes:
                async for outcome in outcomes:
                    if outcome.ok:
                        good.append(time.monotonic() - began)
                    else:
                        assert isinstance(outcome, Failure)
                        assert isinstance(outcome.error, TokenUnavailableError)
                        assert f"the look-up of {outcome.clinic} " in str(outcome.error)
            ended = time.monotonic() - began
    assert len(good) == 30
    assert max(good) < 3.0
    assert 2 * 1.5 <= ended < 2 * 1.5 + 2
    assert names.most <= 12
    assert max(names.asked.count(host) for host in DEAD) == 1  # while a look-up hangs no second one is started
    assert not [each for each in threading.enumerate() if each.name.startswith("asyncio_")]


@pytest.mark.parametrize("lane", LANES)
async def test_a_look_up_that_hangs_ends_with_connect_seconds(
    lane: str, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up counts to connect_seconds, and the error names the host."""
    if lane == "ordinary":
        take_ordinary_lane(monkeypatch)
    timeouts = Timeouts(connect_seconds=0.05)
    async with ArzamedSession(base_url="https://api.invalid", timeouts=timeouts, retry=ONE_TRY) as session:
        clinic = session.clinic(clinic_at("dead.invalid", 443))
        async with asyncio.timeout(60):
            with pytest.raises(ArzamedError, match="the look-up of dead.invalid has not ended within connect_seconds"):
                await clinic.token()
        assert session.stats().pool.lane.startswith("direct" if lane == "direct" else "aiohttp")


async def test_the_look_up_of_a_proxy_is_named(names: Names) -> None:
    """Where the look-up of the proxy hangs, the error names the proxy's host and not the API's."""
    timeouts = Timeouts(connect_seconds=0.05)
    async with ArzamedSession(timeouts=timeouts, retry=ONE_TRY, proxy="http://dead-proxy.invalid:3128") as session:
        with pytest.raises(ArzamedError, match="the look-up of dead-proxy.invalid has not ended"):
            await session.clinic(clinic_at("api.invalid", 443)).token()


async def silence(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    writer.transport.abort()


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Run a server that accepts, and says nothing; yields its port."""
    tasks: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await silence(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await server.wait_closed()


@pytest.mark.parametrize("what", ["TLS, direct", "TLS, ordinary", "CONNECT"])
async def test_a_peer_silent_before_the_request_ends_with_connect_seconds(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server silent in the TLS handshake, and a proxy silent after CONNECT, cost an attempt connect_seconds."""
    if what == "TLS, ordinary":
        take_ordinary_lane(monkeypatch)
    timeouts = Timeouts(total_seconds=20, connect_seconds=0.1)
    async with silent_server() as port:
        proxy, host = (f"http://127.0.0.1:{port}", "api.invalid") if what == "CONNECT" else (None, "127.0.0.1")
        async with ArzamedSession(timeouts=timeouts, retry=ONE_TRY, proxy=proxy) as session:
            began = time.monotonic()
            with pytest.raises(TokenUnavailableError, match="no connection within connect_seconds"):
                await session.clinic(clinic_at(host, port)).token()
            assert time.monotonic() - began < 5


# The resolver.


async def test_addresses_are_kept_and_take_turns(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host is looked up once in ten seconds whatever the port, and its addresses are used in turn."""
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("127.0.0.1", "127.0.0.2")]
    asked: list[str] = []

    def look_up(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        return both

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = Resolver(Threads())
    first, second = await resolver.resolve("a.invalid", 443), await resolver.resolve("a.invalid", 8443)
    assert [(each["host"], each["port"]) for each in first] == [("127.0.0.1", 443), ("127.0.0.2", 443)]
    assert [(each["host"], each["port"]) for each in second] == [("127.0.0.2", 8443), ("127.0.0.1", 8443)]
    assert asked == ["a.invalid"]
    monkeypatch.setattr(resolver_module, "KEPT_SECONDS", 0.0)
    await resolver.resolve("b.invalid", 443)
    await resolver.resolve("b.invalid", 443)
    assert asked == ["a.invalid", "b.invalid", "b.invalid"]


async def test_a_host_without_a_usable_address_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty result of a look-up is an OSError, as an unknown name is."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    with pytest.raises(OSError, match="no usable address"):
        await Resolver(Threads()).resolve("a.invalid", 443)


async def test_the_hosts_kept_are_bounded(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with ever new hosts keeps the addresses of the last ones."""
    monkeypatch.setattr(resolver_module, "MOST_HOSTS", 2)
    resolver = Resolver(Threads())
    for name in ("a.invalid", "b.invalid", "c.invalid"):
        await resolver.resolve(name, 443)
    assert [host for host, _ in resolver._found] == ["b.invalid", "c.invalid"]


async def test_a_look_up_of_the_programs_own_is_used(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a program has replaced its event loop's getaddrinfo that one is called, once for each host that hangs."""
    asked: list[str] = []

    async def look_up(host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        if host.startswith("dead"):
            await asyncio.Event().wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    resolver = Resolver(Threads())
    assert (await resolver.resolve("good.invalid", 443))[0]["host"] == "127.0.0.1"
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await resolver.resolve("dead.invalid", 443)
    assert resolver.unfinished == {asyncio.current_task(): "the look-up of dead.invalid has not ended"}
    assert asked == ["good.invalid", "dead.invalid"]
    assert names.asked == []
    await resolver.close()


async def test_the_callers_own_session_keeps_its_resolver(names: Names) -> None:
    """A session given as http= looks hosts up as its owner has set it up."""
    asked: list[str] = []

    class Own(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
            asked.append(host)
            raise OSError("an invented fault")

        async def close(self) -> None: ...

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Own())) as http:
        async with ArzamedSession(http=http, retry=ONE_TRY) as session:
            with pytest.raises(ArzamedError, match="the host name was not found"):
                await session.clinic(clinic_at("a.invalid", 443)).token()
    assert asked == ["a.invalid"]
    assert names.asked == []

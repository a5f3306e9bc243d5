"""The session on real sockets: pool, tokens shared by equal credentials, closing."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest
from attrs import evolve
from support import SECRET, RawServer, Request, answer, json_answer, settle

from arzamed_async import (
    ArzamedSession,
    ClinicCredentials,
    ConfigurationError,
    Doctor,
    PoolLimits,
    SessionClosedError,
    Timeouts,
    __version__,
)

pytestmark = pytest.mark.asyncio


async def test_reads_the_doctors() -> None:
    """A clinic's doctors come as the server sends them, for one token request and one read."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        doctors = await session.clinic(server.credentials()).doctors.list()
    assert doctors == [Doctor(f"Dr. Inventata {n}", None) for n in range(3)]
    assert [request.target for request in server.requests] == ["/token/Milano", "/api/v1/equipe/doctors"]


async def test_what_goes_over_the_wire() -> None:
    """The token request and the read carry what the vendor's pages ask for, and who is asking."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url + "/") as session:
        await session.clinic(server.credentials()).doctors.list({"from": "2026-01-01", "all": True})
    token, read = server.requests
    assert (token.method, token.headers["content-type"]) == ("POST", "application/x-www-form-urlencoded")
    assert token.body == b"grant_type=client_credentials&scope=https%3A%2F%2Fapi.nextgen.arzamed.com%2Fread"
    assert token.headers["authorization"].startswith("Basic ")
    assert (read.method, read.target) == ("GET", "/api/v1/equipe/doctors?from=2026-01-01&all=true")
    assert read.headers["authorization"] == "Bearer invented.token.canary-91c2"
    assert re.fullmatch(rf"arzamed-async/{re.escape(__version__)}", read.headers["user-agent"])
    assert read.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("lane", ["direct", "aiohttp", "given"])
async def test_the_application_is_named(lane: str) -> None:
    """`app_info` goes before the library in the User-Agent of reads and token requests, over each lane, http= included."""
    options: dict[str, Any] = {"aiohttp": {"trust_env": True}, "given": {"http": aiohttp.ClientSession}}.get(lane, {})
    async with RawServer() as server:
        async with ArzamedSession(base_url=server.base_url, app_info="booking-portal/2.1 cms", **options) as session:
            await session.clinic(server.credentials()).doctors.list()
            assert session._engine.transport.lane.startswith("direct" if lane == "direct" else "aiohttp: ")
        agents = [request.headers["user-agent"] for request in server.requests]
    assert agents == [f"booking-portal/2.1 cms arzamed-async/{__version__}"] * 2


async def test_equal_credentials_share_a_token() -> None:
    """Handles of equal credentials share one token, whatever they are called; other credentials have their own."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        credentials = server.credentials()
        handles = [session.clinic(evolve(credentials, name=f"n{n}")) for n in range(1000)]
        await asyncio.gather(*(handle.token() for handle in handles))
        assert server.token_requests == 1
        await session.clinic(server.credentials("Roma")).token()
        assert server.token_requests == 2
        assert [handle.name for handle in handles[:2]] == ["n0", "n1"]


async def test_one_pool_for_all_clinics() -> None:
    """All clinics share one pool: never more connections than its limit."""
    async with (
        RawServer() as server,
        ArzamedSession(base_url=server.base_url, pool=PoolLimits(connections=3)) as session,
    ):
        clinics = [session.clinic(server.credentials(f"c{n}")) for n in range(30)]
        await asyncio.gather(*(clinic.doctors.list() for clinic in clinics))
        assert server.connections <= 3


async def test_nothing_is_left_open_after_close() -> None:
    """After the session is closed no connection is open, and closing again is fine."""
    async with RawServer() as server:
        session = ArzamedSession(base_url=server.base_url)
        async with session:
            await session.clinic(server.credentials()).doctors.list()
        await session.aclose()
        await session.aclose()
        await settle()
        assert server.open_connections == 0


async def test_cookies_are_not_kept() -> None:
    """A cookie that the server sets is not sent back."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            await server.good(request, writer)
        else:
            writer.write(json_answer(200, [], "Set-Cookie: seen=1; Path=/\r\n"))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        await clinic.doctors.list()
        await clinic.doctors.list()
    assert all("cookie" not in request.headers for request in server.requests)


async def test_use_after_close() -> None:
    """Each way of using a closed session is a SessionClosedError."""
    async with RawServer() as server:
        session = ArzamedSession(base_url=server.base_url)
        credentials = server.credentials()
        async with session:
            clinic = session.clinic(credentials)
        for use in (clinic.doctors.list, clinic.token, session.__aenter__, anext_of(clinic)):
            with pytest.raises(SessionClosedError):
                await use()
        with pytest.raises(SessionClosedError):
            session.clinic(credentials)
        with pytest.raises(SessionClosedError):
            session.fan_out([credentials], lambda clinic: clinic.token())
        assert server.requests == []


def anext_of(clinic):
    """Return a coroutine function that takes a stream's first step."""
    return clinic.doctors.stream().__anext__


@pytest.mark.parametrize("where", ["token", "read", "retry"])
async def test_calls_in_flight_at_close(where: str) -> None:
    """A call that waits for a token, an answer or its next attempt when the session closes ends with SessionClosedError."""
    waiting = asyncio.Event()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token and where != "token":
            return await server.good(request, writer)
        waiting.set()
        if where == "retry":
            writer.write(answer(503, b"", "Retry-After: 19\r\n"))
        else:
            await asyncio.Event().wait()

    async with RawServer(handler) as server:
        session = ArzamedSession(base_url=server.base_url)
        clinic = session.clinic(server.credentials())
        tasks = [asyncio.create_task(use) for use in (clinic.doctors.list(), clinic.get("x"), take_one(clinic))]
        await waiting.wait()
        await settle()
        await session.aclose()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, SessionClosedError)
            assert outcome.clinic == "Milano"


async def take_one(clinic) -> object:
    """Take one record of a stream."""
    async with clinic.doctors.stream() as doctors:
        return await anext(doctors)


async def test_open_stream_at_close() -> None:
    """A stream that is open when the session closes raises SessionClosedError at its next wait."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            return await server.good(request, writer)
        writer.write(b'HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n[{"name": "Dr. Uno", "profileImage": null},')
        await asyncio.Event().wait()

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        stream = session.clinic(server.credentials()).doctors.stream()
        assert (await anext(stream)).name == "Dr. Uno"
        await session.aclose()
        with pytest.raises(SessionClosedError):
            await anext(stream)


async def test_a_given_http_session_is_left_open() -> None:
    """A caller's own aiohttp session is used, with its cookies, and not closed."""
    async with RawServer() as server, aiohttp.ClientSession(cookies={"own": "1"}) as http:
        async with ArzamedSession(base_url=server.base_url, http=http) as session:
            await session.clinic(server.credentials()).doctors.list()
        assert not http.closed
        assert server.requests[-1].headers["cookie"] == "own=1"


async def test_a_given_http_session_that_is_closed() -> None:
    """A caller's session that is closed is a ConfigurationError that says so."""
    async with RawServer() as server:
        http = aiohttp.ClientSession()
        await http.close()
        async with ArzamedSession(base_url=server.base_url, http=http) as session:
            with pytest.raises(ConfigurationError, match="Milano.*http= is closed"):
                await session.clinic(server.credentials()).token()


async def test_a_factory_of_http_sessions() -> None:
    """A callable that makes the aiohttp session is called once, in the loop, and its session closed with ours."""
    made = []

    def make() -> aiohttp.ClientSession:
        made.append(aiohttp.ClientSession())
        return made[-1]

    async with RawServer() as server:
        async with ArzamedSession(base_url=server.base_url, http=make) as session:
            await session.clinic(server.credentials()).doctors.list()
        assert len(made) == 1
        assert made[0].closed


@pytest.mark.parametrize(
    "options",
    [
        {"pool": PoolLimits(connections=5)},
        {"proxy": "http://127.0.0.1:1"},
        {"trust_env": True},
    ],
)
async def test_http_and_pool_settings_exclude_each_other(options: dict[str, object]) -> None:
    """With http= given, the pool's own settings are a ConfigurationError."""
    with pytest.raises(ConfigurationError, match="http="):
        ArzamedSession(http=aiohttp.ClientSession, **options)  # type: ignore[arg-type]


async def test_a_setting_of_the_wrong_kind() -> None:
    """A policy of the wrong kind is named at construction, and so is what is no credentials."""
    with pytest.raises(ConfigurationError, match="timeouts must be of type Timeouts, not int"):
        ArzamedSession(timeouts=5)  # type: ignore[arg-type]
    for url in ("https://api.invented.example/v1?x=1", "https://api.invented.example/v1?"):
        with pytest.raises(ConfigurationError, match="base_url must not contain a query"):
            ArzamedSession(base_url=url)
    async with ArzamedSession() as session:
        with pytest.raises(ConfigurationError, match="ClinicCredentials, not str"):
            session.clinic("Milano")  # type: ignore[arg-type]


async def test_reprs_tell_the_clinic_and_no_secret() -> None:
    """The reprs of session, handle, resource and credentials help, and hold no secret."""
    credentials = ClinicCredentials("id", SECRET, "https://auth.invented.example/token", name="Milano")
    async with ArzamedSession() as session:
        clinic = session.clinic(credentials)
        text = f"{session!r} {clinic!r} {clinic.doctors!r} {credentials!r}"
    assert "api.nextgen.arzamed.com" in text
    assert "Milano" in text
    assert SECRET not in text
    assert "closed" in repr(session)


async def test_with_options_shares_token_and_pool() -> None:
    """A handle under other policies uses the same token."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        clinic = session.clinic(server.credentials())
        await clinic.doctors.list()
        await clinic.with_options(timeouts=Timeouts(total_seconds=5)).doctors.list()
    assert server.token_requests == 1
    assert server.connections == 1

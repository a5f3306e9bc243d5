"""Clinics that come, go and change their keys while requests run; what the session reports of them."""

from __future__ import annotations

import asyncio
import gc
import pickle

import pytest
from support import RawServer, Request, answer, settle, token_answer

from arzamed_async import (
    ArzamedSession,
    BreakerPolicy,
    ClinicCredentials,
    ClinicStats,
    ConfigurationError,
    CredentialsRejectedError,
    NotFoundError,
    RetryPolicy,
    SecretFromEnv,
    Stats,
)
from arzamed_async._tokens.cache import CachedToken

pytestmark = pytest.mark.asyncio

QUICK = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001)


async def test_forget_drops_the_token() -> None:
    """After forget a handle made before it starts again: new token, new figures, one state for all handles."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        credentials = server.credentials()
        clinic = session.clinic(credentials)
        doctors = clinic.doctors
        await doctors.list()
        session.forget(credentials)
        assert session.stats().clinics == {}
        await doctors.list()
        await clinic.doctors.list()
        await session.clinic(credentials).token()
        await clinic.get("equipe/rooms")
        assert server.token_requests == 2
        assert session.stats().clinics["Milano"].requests == 3


async def test_forget_disturbs_nothing_that_runs() -> None:
    """Calls, token requests and streams under way when their clinic is forgotten come to their end."""
    body = b"[" + b",".join([b'{"name":"Dr. Inventata","profileImage":null}'] * 20_000) + b"]"
    tokens, reads = asyncio.Event(), asyncio.Event()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        await (tokens if request.is_token else reads).wait()
        writer.write(token_answer() if request.is_token else answer(200, body))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        credentials = server.credentials()
        waiting = asyncio.create_task(session.clinic(credentials).doctors.list())
        while not server.token_requests:
            await asyncio.sleep(0.001)
        session.forget(credentials)
        tokens.set()
        while not server.api_requests:
            await asyncio.sleep(0.001)
        session.forget(credentials)
        reads.set()
        assert len(await waiting) == 20_000
        async with session.clinic(credentials).doctors.stream() as stream:
            await anext(stream)
            session.forget(credentials)
            assert len([doctor async for doctor in stream]) == 19_999


async def test_a_new_key_is_tried_at_once() -> None:
    """A refused credential is remembered; a new secret is another credential, and forget lets the old one be tried."""
    good = False

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(token_answer() if good else answer(401))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        old, new = server.credentials(secret="invented-old"), server.credentials(secret="invented-new")
        for _ in range(3):
            with pytest.raises(CredentialsRejectedError):
                await session.clinic(old).token()
        assert server.token_requests == 1
        good = True
        await session.clinic(new).token()
        with pytest.raises(CredentialsRejectedError):
            await session.clinic(old).token()
        session.forget(old)
        await session.clinic(old).token()
        assert server.token_requests == 3


def tokens_held() -> int:
    """Return the number of tokens in memory."""
    return sum(type(each) is CachedToken for each in gc.get_objects())


async def test_what_is_forgotten_is_gone() -> None:
    """States of forgotten clinics are freed at once, without the garbage collector; forgetting twice is fine."""
    async with RawServer() as server, ArzamedSession(base_url=server.base_url) as session:
        gc.collect()
        gc.disable()
        try:
            before = tokens_held()
            for number in range(20):
                credentials = server.credentials(f"c{number}")
                await session.clinic(credentials).doctors.list()
                assert tokens_held() == before + 1
                session.forget(credentials)
                session.forget(credentials)
            await settle()
            assert tokens_held() == before
        finally:
            gc.enable()
        with pytest.raises(ConfigurationError):
            session.forget("Milano")  # type: ignore[arg-type]


async def test_stats() -> None:
    """The snapshot counts requests, retries, token requests and failures of each clinic, and is frozen."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
        elif request.target.endswith("gone"):
            writer.write(answer(404))
        elif server.api_requests == 1:
            writer.write(answer(503))
        else:
            await server.good(request, writer)

    async with (
        RawServer(handler) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, breaker=BreakerPolicy()) as session,
    ):
        assert session.stats().pool.in_use == 0
        clinic = session.clinic(server.credentials())
        await clinic.doctors.list()
        with pytest.raises(NotFoundError):
            await clinic.get("gone")
        session.clinic(server.credentials("Torino"))
        stats = session.stats()
    assert stats.clinics == {
        "Milano": ClinicStats(requests=3, retries=1, token_requests=1, failures=1, breaker="closed"),
        "Torino": ClinicStats(breaker="closed"),
    }
    assert (stats.pool.connections, stats.pool.in_use, stats.pool.open, stats.pool.queued) == (100, 0, 1, 0)
    with pytest.raises(AttributeError):
        stats.retry_budget_remaining = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        stats.clinics["Milano"] = ClinicStats()  # type: ignore[index]
    assert isinstance(stats, Stats)
    assert pickle.loads(pickle.dumps(stats)) == stats


async def test_clinics_of_one_name_are_distinguished() -> None:
    """Two clinics that share a name both stand in the figures, with their client ids."""
    session = ArzamedSession()
    for client_id, secret in (("a", "x1"), ("b", "x2"), ("b", "x3"), ("b", "x4")):
        session.clinic(ClinicCredentials(client_id, secret, "https://auth.invented.example/t", name="Milano"))
    assert list(session.stats().clinics) == ["Milano", "Milano (b)", "Milano (b) #2", "Milano (b) #3"]
    await session.aclose()


async def test_failures_count_calls_and_tokens_and_broken_streams() -> None:
    """A failed token, and a stream that breaks after its beginning, are failures of the clinic too."""
    cut = b"HTTP/1.1 200 X\r\nContent-Length: 900000\r\n\r\n[" + b'{"name":"Dr. Inventata","profileImage":null},' * 2000

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer() if "Milano" in request.target else answer(400))
            return
        writer.write(cut)
        await writer.drain()
        writer.close()

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url, retry=QUICK) as session:
        with pytest.raises(Exception, match="stream interrupted"):
            [doctor async for doctor in session.clinic(server.credentials()).doctors.stream()]
        with pytest.raises(Exception, match="token endpoint"):
            await session.clinic(server.credentials("Torino")).token()
        stats = session.stats().clinics
    assert stats["Milano"].failures == 1
    assert stats["Torino"] == ClinicStats(token_requests=1, failures=1)


async def test_a_secret_by_reference_is_masked_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API's message is cleaned of the secret that was last sent, wherever that came from."""
    monkeypatch.setenv("INVENTED_SECRET", "invented-canary-55")

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            writer.write(token_answer())
        else:
            writer.write(answer(403, b'{"error": "no invented-canary-55 here"}'))

    async with RawServer(handler) as server, ArzamedSession(base_url=server.base_url) as session:
        url = server.credentials().token_url
        for secret in (SecretFromEnv("INVENTED_SECRET"), "invented-canary-55"):
            with pytest.raises(Exception, match=r"no \*\*\* here"):
                await session.clinic(ClinicCredentials("id", secret, url, name="Milano")).doctors.list()

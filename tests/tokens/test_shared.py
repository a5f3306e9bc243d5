"""Tokens that sessions have in common by way of a store: what is asked, of whom, and what a bad store costs."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import re
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from support import DOCTORS, SECRET, RawServer, Request, answer, json_answer, settle, token_answer
from support.tokens import Clock

from arzamed_async import (
    ArzamedSession,
    ClinicCredentials,
    CredentialsRejectedError,
    Event,
    Lease,
    RetryPolicy,
    SecretFromEnv,
    SecretFromFile,
    SessionClosedError,
    StoredRejection,
    StoredToken,
    TokenStoreFailed,
)
from arzamed_async._tokens import guarded_store as door
from arzamed_async._tokens import shared
from arzamed_async.testing import MemoryTokenStore

pytestmark = pytest.mark.asyncio

ONE_SECOND = dt.timedelta(seconds=1)
QUICK = RetryPolicy(initial_backoff_seconds=0.0001, max_backoff_seconds=0.001)


class Numbered(RawServer):
    """Hands out t1, t2, ... and answers 401 to what stands in `expired`."""

    def __init__(self) -> None:
        super().__init__(self.numbered)
        self.expired: set[str] = set()
        self.gate: asyncio.Event | None = None
        self.refuses = False

    async def numbered(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            number = self.token_requests
            if self.gate is not None:
                await self.gate.wait()
            writer.write(json_answer(401, {"error": "invalid_client"}) if self.refuses else token_answer(f"t{number}"))
        elif request.headers["authorization"].removeprefix("Bearer ") in self.expired:
            writer.write(answer(401))
        else:
            writer.write(json_answer(200, DOCTORS))


@pytest.fixture
def store() -> MemoryTokenStore:
    return MemoryTokenStore()


def sessions(server: RawServer, store: Any, count: int, **options: Any) -> list[ArzamedSession]:
    return [ArzamedSession(base_url=server.base_url, token_store=store, retry=QUICK, **options) for _ in range(count)]


async def close(*opened: ArzamedSession) -> None:
    for each in opened:
        await each.aclose()


async def test_many_sessions_make_one_request(store: MemoryTokenStore) -> None:
    """However many sessions and callers want a clinic's token at once, one asks, and all have what it got."""
    async with Numbered() as server:
        server.gate = asyncio.Event()
        opened = sessions(server, store, 5)
        calls = [
            asyncio.create_task(session.clinic(server.credentials()).token()) for session in opened for _ in range(20)
        ]
        await until(lambda: server.token_requests == 1)
        server.gate.set()
        tokens = await asyncio.gather(*calls)
        assert {token.access_token for token in tokens} == {"t1"}
        assert max(token.expires_at for token in tokens) - min(token.expires_at for token in tokens) < ONE_SECOND
        await close(*opened)
    assert server.token_requests == 1


async def test_a_session_that_comes_later_asks_nothing(store: MemoryTokenStore) -> None:
    """What is kept serves the next session too; its age counts."""
    async with Numbered() as server:
        first, second = sessions(server, store, 2)
        token = await first.clinic(server.credentials()).token()
        await first.aclose()
        assert len(await second.clinic(server.credentials()).doctors.list()) == 3
        later = await second.clinic(server.credentials()).token()
        await second.aclose()
    assert (later.access_token, server.token_requests) == (token.access_token, 1)


async def test_the_store_is_not_asked_while_the_token_is_good(store: MemoryTokenStore) -> None:
    """Once a session has a token the store hears nothing until it is to be replaced."""
    calls: list[str] = []

    class Watched(MemoryTokenStore):
        async def load(self, key: str, /) -> StoredToken | StoredRejection | None:
            calls.append("load")
            return await super().load(key)

    async with Numbered() as server:
        (session,) = sessions(server, Watched(), 1)
        clinic = session.clinic(server.credentials())
        await clinic.token()
        calls.clear()
        for _ in range(100):
            await clinic.token()
        await session.aclose()
    assert calls == []


async def test_a_refused_token_is_replaced_once_for_all(store: MemoryTokenStore) -> None:
    """A 401 in each of three sessions costs one new token; the old one is dropped from the store."""
    async with Numbered() as server:
        opened = sessions(server, store, 3)
        for session in opened:
            assert (await session.clinic(server.credentials()).token()).access_token == "t1"
        server.expired.add("t1")
        lists = await asyncio.gather(*(each.clinic(server.credentials()).doctors.list() for each in opened))
        assert [len(doctors) for doctors in lists] == [3, 3, 3]
        await close(*opened)
    assert server.token_requests == 2


async def test_a_refresh_in_one_session_serves_the_others(store: MemoryTokenStore) -> None:
    """Near its end a token is replaced by one session; the others find the new one when their turn comes."""
    clock = Clock()
    store = MemoryTokenStore(clock=clock)
    async with Numbered() as server:
        opened = sessions(server, store, 3, clock=clock)
        clinics = [session.clinic(server.credentials()) for session in opened]
        for clinic in clinics:
            await clinic.token()
        clock.advance(3600 - 200)
        for clinic in clinics:
            await clinic.token()  # starts a refresh in the background
            await until(lambda clinic=clinic: not clinic._state.tokens._source.flights._flights)  # type: ignore[misc]
        assert {(await clinic.token()).access_token for clinic in clinics} == {"t2"}
        await close(*opened)
    assert server.token_requests == 2


async def test_a_refusal_is_told_to_the_others(store: MemoryTokenStore) -> None:
    """Credentials refused to one session are not tried by another for rejected_seconds, and then they are."""
    clock = Clock()
    store = MemoryTokenStore(clock=clock)
    async with Numbered() as server:
        server.refuses = True
        first, second = sessions(server, store, 2, clock=clock)
        for session in (first, second):
            with pytest.raises(CredentialsRejectedError, match="invalid_client") as caught:
                await session.clinic(server.credentials()).token()
            assert caught.value.clinic == "Milano"
        assert server.token_requests == 1
        server.refuses = False
        clock.advance(61)
        assert (await second.clinic(server.credentials()).token()).access_token == "t2"
        await close(first, second)


@pytest.mark.parametrize("changed", [False, True])
async def test_a_refusal_of_a_secret_by_reference_is_of_that_secret(
    store: MemoryTokenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: bool
) -> None:
    """Others with the same secret do not try it; one that has the new secret already is not held up by the old one's."""
    async with Numbered() as server:
        for secret in (SecretFromEnv("INVENTED"), SecretFromFile(tmp_path / "secret")):
            server.refuses = True
            before = server.token_requests
            credentials = evolve(server.credentials(), client_secret=secret)
            first, second = sessions(server, store, 2)
            for session in (first, first, second):
                if session is second:
                    server.refuses = False
                text = "invented-new" if changed and session is second else "invented-old"
                monkeypatch.setenv("INVENTED", text)
                (tmp_path / "secret").write_text(text)
                if changed and session is second:
                    await session.clinic(credentials).token()
                else:
                    with pytest.raises(CredentialsRejectedError):
                        await session.clinic(credentials).token()
            assert server.token_requests == before + 1 + changed
            await close(first, second)


async def test_a_holder_that_is_gone_costs_the_others_its_lease(
    store: MemoryTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease whose holder says no more is waited for as long as it lasts; then another asks."""
    clock = Clock()
    store = MemoryTokenStore(clock=clock)
    monkeypatch.setattr(shared, "LOOK_AGAIN_SECONDS", (0.001, 0.002))
    async with Numbered() as server:
        (session,) = sessions(server, store, 1)
        key = shared.store_key(server.credentials())
        assert await store.acquire(key, 10) is not None
        call = asyncio.create_task(session.clinic(server.credentials()).token())
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert server.token_requests == 0
        clock.advance(10)
        assert (await call).access_token == "t1"
        await session.aclose()


async def test_a_lease_is_held_while_the_request_takes_its_time(
    store: MemoryTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that outlasts the lease has it renewed, and gives it back at once when it is done."""
    monkeypatch.setattr(shared, "LEASE_SECONDS", 0.03)
    renewed: list[Lease] = []
    released: list[Lease] = []

    class Watched(MemoryTokenStore):
        async def renew(self, lease: Lease, seconds: float, /) -> bool:
            renewed.append(lease)
            return await super().renew(lease, 10)

        async def release(self, lease: Lease, /) -> None:
            released.append(lease)
            await super().release(lease)

    async with Numbered() as server:
        server.gate = asyncio.Event()
        (session,) = sessions(server, Watched(), 1)
        call = asyncio.create_task(session.clinic(server.credentials()).token())
        await until(lambda: len(renewed) > 2)
        assert released == []
        server.gate.set()
        await call
        assert released == renewed[:1]
        await session.aclose()


async def test_a_forked_child_leaves_the_lease_to_its_parent(
    store: MemoryTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of a request under way, which ends in another process than it began in, releases no lease and stores nothing."""
    released: list[Lease] = []

    async def release(lease: Lease, /) -> None:
        released.append(lease)

    monkeypatch.setattr(store, "release", release)
    began = asyncio.Event()

    async def hang(_request: Request, _writer: asyncio.StreamWriter) -> None:
        began.set()
        await asyncio.Event().wait()

    async with RawServer(hang) as server, ArzamedSession(base_url=server.base_url, token_store=store) as session:
        call = asyncio.create_task(session.clinic(server.credentials()).token())
        await began.wait()
        monkeypatch.setattr(os, "getpid", lambda process=os.getpid(): process + 1)
        for task in [each for each in asyncio.all_tasks() if "SingleFlight" in repr(each)]:
            task.cancel()
        await asyncio.wait([call], timeout=60)
        monkeypatch.undo()
        assert released == []
        call.cancel()
        await asyncio.wait([call])


async def test_a_refused_token_is_taken_out_before_another_is_asked_for(store: MemoryTokenStore) -> None:
    """While one session asks for a token in place of a refused one, no other finds the refused one."""
    async with Numbered() as server:
        (session,) = sessions(server, store, 1)
        clinic = session.clinic(server.credentials())
        await clinic.token()
        server.expired.add("t1")
        server.gate = asyncio.Event()
        call = asyncio.create_task(clinic.doctors.list())
        await until(lambda: server.token_requests == 2)
        assert await store.load(shared.store_key(server.credentials())) is None
        server.gate.set()
        assert len(await call) == 3
        await session.aclose()


async def test_an_older_token_does_not_replace_a_refused_one(store: MemoryTokenStore) -> None:
    """A session whose token is refused takes no older one from the store: the call goes on with a new one."""
    async with Numbered() as server:
        (session,) = sessions(server, store, 1)
        clinic = session.clinic(server.credentials())
        await clinic.token()
        key = shared.store_key(server.credentials())
        await store.discard(key, "t1")
        await store.save(key, StoredToken("older", 600, 3000), None)
        server.expired |= {"older", "t1"}
        assert len(await clinic.doctors.list()) == 3
        assert (await clinic.token()).access_token == "t2"
        kept = await store.load(key)
        assert isinstance(kept, StoredToken)
        assert kept.access_token == "t2"
        await session.aclose()


async def test_the_age_of_a_kept_token_counts(store: MemoryTokenStore) -> None:
    """A token that is found ends when the store says; one that is about to end is not taken."""
    async with Numbered() as server:
        for left, found in ((600.0, True), (20.0, False)):
            await store.save(
                shared.store_key(server.credentials(f"c{left}")), StoredToken("kept", 3600 - left, left), None
            )
            (session,) = sessions(server, store, 1, clock=lambda: 1e6, wall_clock=lambda: 1e9)
            token = await session.clinic(server.credentials(f"c{left}")).token()
            await session.aclose()
            assert (token.access_token == "kept") is found
            if found:
                assert token.expires_at.timestamp() == pytest.approx(1e9 + 600, abs=1)


async def test_the_store_is_looked_at_again_behind_the_lease() -> None:
    """A token that came between the last look and the lease is taken: no request is made, and the lease is given back."""

    class Late(MemoryTokenStore):
        async def acquire(self, key: str, seconds: float, /) -> Lease | None:
            await self.save(key, StoredToken("kept", 0, 3600), None)
            return await super().acquire(key, seconds)

    store = Late()
    async with Numbered() as server:
        (session,) = sessions(server, store, 1)
        assert (await session.clinic(server.credentials()).token()).access_token == "kept"
        await session.aclose()
        assert server.token_requests == 0
        assert await store.acquire(shared.store_key(server.credentials()), 1) is not None


async def test_a_lease_that_never_ends_is_not_waited_for_without_end(
    store: MemoryTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that hangs, and goes on holding, does not cost the others their token: at last each asks for itself."""
    monkeypatch.setattr(shared, "PATIENCE_SECONDS", 0.02)
    async with Numbered() as server:
        (session,) = sessions(server, store, 1)
        assert await store.acquire(shared.store_key(server.credentials()), 1000) is not None
        assert (await session.clinic(server.credentials()).token()).access_token == "t1"
        await session.aclose()


class Broken:
    """A store that fails in the way it is told, at every call."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: object) -> object:
            self.calls += 1
            if self.how == "raises":
                raise OSError("down")
            if self.how == "hangs":
                await asyncio.Event().wait()
            return object()  # nonsense

        return fail


@pytest.mark.parametrize("how", ["raises", "hangs", "answers nonsense"])
async def test_a_bad_store_costs_one_event_and_a_token_of_ones_own(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is down, hangs or lies: no call fails, one event tells of it, and it is left alone for a while."""
    monkeypatch.setattr(door, "ANSWER_SECONDS", 0.02)
    events: list[Event] = []
    store = Broken(how)
    async with Numbered() as server:
        (session,) = sessions(server, store, 1, observers=[events.append])
        clinics = [session.clinic(server.credentials(f"c{n}")) for n in range(20)]
        await asyncio.gather(*(clinic.doctors.list() for clinic in clinics[:10]))
        asked = store.calls
        for clinic in clinics[10:]:
            await clinic.token()
        assert store.calls == asked
        await session.aclose()
    failures = [event for event in events if isinstance(event, TokenStoreFailed)]
    assert len(failures) == 1
    assert server.token_requests == 20


@pytest.mark.parametrize(
    "kept",
    [
        StoredToken("evil\r\nX-Injected: 1", 0, 100),
        StoredToken("", 0, 100),
        StoredToken("t", -1, 100),
        StoredToken("t", 0, float("nan")),
        StoredToken("t", 0, 10**9),
    ],
)
async def test_a_store_that_was_tampered_with(kept: StoredToken) -> None:
    """What no token endpoint's answer may hold is not taken from a store either."""

    class Tampered(MemoryTokenStore):
        async def load(self, key: str, /) -> StoredToken:
            return kept

    events: list[Event] = []
    async with Numbered() as server:
        (session,) = sessions(server, Tampered(), 1, observers=[events.append])
        assert (await session.clinic(server.credentials()).token()).access_token == "t1"
        await session.aclose()
    assert [event.error for event in events if isinstance(event, TokenStoreFailed)] == ["ValueError"]


@pytest.mark.parametrize("at", ["acquire", "discard", "save", "release", "renew"])
async def test_a_store_that_fails_half_way(at: str, store: MemoryTokenStore) -> None:
    """Wherever the store fails, the token is there."""

    class Half(MemoryTokenStore):
        def __getattribute__(self, name: str) -> Any:
            if name == at:
                raise ConnectionError(name)
            return super().__getattribute__(name)

    async with Numbered() as server:
        (session,) = sessions(server, Half(), 1)
        clinic = session.clinic(server.credentials())
        await clinic.token()
        server.expired.add("t1")
        assert len(await clinic.doctors.list()) == 3
        await session.aclose()
    assert server.token_requests == 2


async def test_closing_in_the_midst_gives_the_lease_back(store: MemoryTokenStore) -> None:
    """A session that is closed while it asks, or while it waits for another's lease, leaves no task and no lease."""
    async with Numbered() as server:
        server.gate = asyncio.Event()
        before = asyncio.all_tasks()
        opened = sessions(server, store, 2)
        calls = [asyncio.create_task(session.clinic(server.credentials()).token()) for session in opened]
        await until(lambda: server.token_requests == 1)
        await settle()
        await close(*opened)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in outcomes] == [SessionClosedError] * 2
        key = shared.store_key(server.credentials())
        assert await store.acquire(key, 10) is not None
        assert {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)} == set()


async def test_keys_tell_credentials_apart_and_show_nothing() -> None:
    """A key is a digest of everything but the name; of a secret by reference the reference alone goes into it."""
    credentials = ClinicCredentials("id", SECRET, "https://auth.invented.example/t", name="Milano")
    others = [
        evolve(credentials, client_id="id2"),
        evolve(credentials, client_secret="another"),
        evolve(credentials, client_secret=SecretFromEnv("X")),
        evolve(credentials, client_secret=SecretFromFile("X")),
        evolve(credentials, client_secret="X"),
        evolve(credentials, token_url="https://auth.invented.example/u"),
        evolve(credentials, scope="other"),
        evolve(credentials, basic_encoding="raw"),
    ]
    keys = [shared.store_key(each) for each in (credentials, *others)]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[0-9a-f]{64}", key) for key in keys)
    assert shared.store_key(evolve(credentials, name="Roma")) == keys[0]


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)

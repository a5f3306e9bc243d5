"""Calls cancelled in their first turn of the event loop, their second, and so on to their last: nothing is left."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from fault_tls import good, trusting
from support import RawServer, Request, answer, json_answer, token_answer, until
from test_storms import BODY, CALLS, Call, Quiet, assert_no_slot_is_held, client_sockets, outcome_of

from arzamed_async import (
    ArzamedSession,
    ClinicCredentials,
    Lease,
    PoolLimits,
    RetryPolicy,
    SessionClosedError,
    TokenStore,
)
from arzamed_async._tokens.shared import store_key
from arzamed_async.stores import FileTokenStore
from arzamed_async.testing import MemoryTokenStore

pytestmark = pytest.mark.asyncio

LIMITS = PoolLimits(connections=1, connections_per_clinic=1)
AT_ONCE = RetryPolicy(initial_backoff_seconds=1e-6, max_backoff_seconds=1e-6)


class Rough(RawServer):
    """For each clinic: no token at first, then 401, 503 and half a list, and then as it should be."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self.rough, tls=tls)
        self.asked: Counter[str] = Counter()

    async def rough(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.is_token:
            self.asked[request.target] += 1
            clinic = request.target.rsplit("/", 1)[1]
            writer.write(answer(503) if self.asked[request.target] == 1 else token_answer(f"of-{clinic}"))
            return
        clinic = request.headers["authorization"]
        self.asked[clinic] += 1
        if self.asked[clinic] == 1:
            writer.write(json_answer(401, {"error": "Expired token"}))
        elif self.asked[clinic] == 2:
            writer.write(answer(503))
        else:
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % len(BODY))
            for start in range(0, len(BODY), 20_000):
                writer.write(BODY[start : start + 20_000])
                await writer.drain()
                await asyncio.sleep(0)
                if self.asked[clinic] == 3 and start:
                    writer.close()
                    return


async def crowd(session: ArzamedSession, clinics: list[ClinicCredentials]) -> object:
    """Wait for a slot of the clinic."""
    clinic = session.clinic(clinics[0])
    return await asyncio.gather(clinic.doctors.list(), clinic.get("equipe/doctors"), clinic.doctors.list())


# The ways: each acts in one turn of the loop, and returns how the call may end; `closing` is the session's aclose.

Act = Callable[[ArzamedSession, "asyncio.Task[object]"], Awaitable[set[str]]]

CUT = {"DeadlineExceededError", "done"}  # a fan-out is done: it has failures in it


def end_all(session: ArzamedSession) -> None:
    """Let the deadline of every call pass. (A token request has one of its own.)"""
    lifetime = session._engine.lifetime
    for scope in lifetime._scopes or ():
        if scope.task not in lifetime._tasks:
            scope.cancel("deadline")


async def once(session: ArzamedSession, task: asyncio.Task[object]) -> set[str]:
    task.cancel()
    return {"cancelled"}


async def twice_at_once(session: ArzamedSession, task: asyncio.Task[object]) -> set[str]:
    task.cancel()
    task.cancel()
    return {"cancelled"}


async def twice_in_a_row(session: ArzamedSession, task: asyncio.Task[object]) -> set[str]:
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    return {"cancelled"}


async def by_its_deadline(session: ArzamedSession, task: asyncio.Task[object]) -> set[str]:
    end_all(session)
    return CUT


async def and_then_its_deadline(session: ArzamedSession, task: asyncio.Task[object]) -> set[str]:
    task.cancel()
    end_all(session)
    return {"cancelled"}


async def behind_its_deadline(session: ArzamedSession, task: asyncio.Task[object]) -> set[str]:
    end_all(session)
    task.cancel()
    return {"cancelled"}


async def and_then_a_close(session: ArzamedSession, task: asyncio.Task[object]) -> set[str]:
    closing = asyncio.create_task(session.aclose())  # its step comes before the task's
    task.cancel()
    await closing
    return {"cancelled"}


async def behind_a_close(session: ArzamedSession, task: asyncio.Task[object]) -> set[str]:
    closing = asyncio.create_task(session.aclose())
    asyncio.get_running_loop().call_soon(task.cancel)
    await closing
    return {"cancelled", "done", SessionClosedError.__name__}  # where that call was still to begin, or just over


async def by_a_close(session: ArzamedSession, task: asyncio.Task[object]) -> set[str]:
    await session.aclose()
    return {"done", SessionClosedError.__name__}


WAYS: list[Act] = [
    once, twice_at_once, twice_in_a_row, by_its_deadline, and_then_its_deadline, behind_its_deadline,
    and_then_a_close, behind_a_close, by_a_close,
]  # fmt: skip


class Watched:
    """A call in a task of its own, that notes how many cancellations of the task are not taken back behind it."""

    def __init__(self, call: Callable[[], Awaitable[object]]) -> None:
        self.cancelling = 0
        self.task: asyncio.Task[object] = asyncio.create_task(self.run(call))

    async def run(self, call: Callable[[], Awaitable[object]]) -> object:
        try:
            return await call()
        finally:
            task = asyncio.current_task()
            self.cancelling = task.cancelling() if task else 0


def points(act: Act) -> Iterator[int]:
    """Yield the turns: each of the first 40, then one in four, of which each way has others."""
    yield from range(40)
    yield from range(40 + WAYS.index(act) % 4, 5000, 4)


async def sweep(server: Rough, call: Call, act: Act, *, coalesce: bool = False) -> int:
    """Do it at each point of the call, with a session and clinics of its own; return how many points there were."""
    context = trusting() if server.tls else None
    async with Quiet() as quiet:
        for point in points(act):
            clinics = [
                ClinicCredentials(f"id-{n}", "invented", f"{server.origin}/token/{point}-{n}", name=f"c{n}")
                for n in range(2)
            ]
            async with ArzamedSession(
                base_url=server.base_url, pool=LIMITS, retry=AT_ONCE, coalesce=coalesce, ssl_context=context
            ) as session:
                watched = Watched(partial(call, session, clinics))
                task = watched.task
                for _ in range(point):
                    await asyncio.sleep(0)
                if task.done():
                    assert outcome_of(task) == "done"
                    break
                ends = await act(session, task)
                await asyncio.wait([task])
                end = outcome_of(task)
                assert end in ends, f"{end} at point {point}"
                assert watched.cancelling == 0 or end == "cancelled", "a cancellation of the library's own is left"
                await until(lambda: quiet.left_running(server) == set())  # a token request goes on by itself
                assert_no_slot_is_held(session)
                assert session.stats().pool.in_use == 0
                if not session._engine.lifetime.closed:
                    await session.clinic(clinics[0]).get("equipe/rooms")
            assert client_sockets(server) == 0
    return point


@pytest.mark.parametrize("act", WAYS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("call", [*CALLS, crowd], ids=lambda call: call.__name__)
async def test_cancelled_at_every_point(call: Call, act: Act) -> None:
    """Who cancels a call, twice too, or with its deadline or a close in the same turn, gets CancelledError; nothing is held."""
    async with Rough() as server:
        assert await sweep(server, call, act) > 10


@pytest.mark.parametrize("act", WAYS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("call", [CALLS[2], CALLS[6], crowd], ids=lambda call: call.__name__)
async def test_shared_reads_cancelled_at_every_point(call: Call, act: Act) -> None:
    """The same holds where the reads are shared: those who wait for one are cancelled, or it is, and nothing is held."""
    async with Rough() as server:
        assert await sweep(server, call, act, coalesce=True) > 10


@pytest.mark.parametrize("act", [once, twice_in_a_row, behind_its_deadline, by_a_close], ids=lambda act: act.__name__)
async def test_cancelled_at_every_point_of_a_handshake(act: Act) -> None:
    """The same holds over TLS: a connection whose handshake is cancelled is closed."""
    async with Rough(good()) as server:
        assert await sweep(server, CALLS[2], act) > 10


class SlowStore(MemoryTokenStore):
    """Waits after what it does: whoever is cancelled then does not learn of it."""

    async def acquire(self, key: str, seconds: float, /) -> Lease | None:
        lease = await super().acquire(key, seconds)
        await asyncio.sleep(0)
        return lease


STORES: dict[str, Callable[[Path], TokenStore]] = {
    "memory": lambda _: MemoryTokenStore(),
    "slow": lambda _: SlowStore(),
    "file": lambda folder: FileTokenStore(folder / "tokens"),
}


@pytest.mark.parametrize("kind", STORES)
async def test_a_session_closed_at_every_point_leaves_no_lease(kind: str, tmp_path: Path) -> None:
    """A token request that ends with its session, wherever it is, leaves no lease in the store: nobody waits for it to expire."""
    store = STORES[kind](tmp_path)
    async with Rough() as server, Quiet() as quiet:
        for point in range(400):
            clinic = ClinicCredentials(f"id-{point}", "invented", f"{server.origin}/token/{point}", name="c")
            async with ArzamedSession(base_url=server.base_url, retry=AT_ONCE, token_store=store) as session:
                task = asyncio.create_task(session.clinic(clinic).token())
                for _ in range(point):
                    await asyncio.sleep(0)
                done = task.done()
            await asyncio.wait([task])
            assert outcome_of(task) in ("done", SessionClosedError.__name__)
            await until(lambda: quiet.left_running(server) == set())
            lease = await store.acquire(store_key(clinic), 600)
            assert lease is not None, f"at point {point}"
            await store.release(lease)
            if done:
                break
        assert point > 10
        await store.aclose() if isinstance(store, FileTokenStore) else None

"""Bodies that arrive within one budget, in many orders: no reader is forgotten, and all of the budget comes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from arzamed_async import TransportError
from arzamed_async._concurrency.byte_budget import ByteBudget
from arzamed_async._concurrency.cancel_scope import CancelScope, CancelScopes
from arzamed_async._http.failures import transport_error
from arzamed_async._http.inbound import Inbound
from arzamed_async._http.response import HttpResponse

pytestmark = pytest.mark.asyncio

RECORD, RECORDS = 100_000, 3
MEBIBYTE = 1_048_576


class Protocol:
    """aiohttp's protocol, as its StreamReader sees it."""

    connected = True

    def pause_reading(self) -> None: ...

    def resume_reading(self, *args: Any, **options: Any) -> None: ...


class Connection:
    """A server's side of one body, and the pause of its connection."""

    def __init__(self, budget: ByteBudget, size: int = RECORD * RECORDS, headers: dict[str, str] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.left = size
        self.paused = self.lost = False
        self.reader = aiohttp.StreamReader(Protocol(), 2**20, loop=loop)  # type: ignore[arg-type]
        self.body = Inbound(self.reader, budget, self)
        self.scope = CancelScope(CancelScopes(loop), None)
        self.response = HttpResponse(
            200, headers or {}, self.body, self.close, "invented", self.scope, transport_error, ()
        )
        self.wants = asyncio.Event()  # a consumer that may read on
        self.wants.set()

    def arz_pause(self) -> None:
        self.paused = True

    def arz_resume(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.lost = True

    def send(self, size: int) -> bool:
        """Let bytes arrive, as the direct lane does. Return whether any could."""
        if self.paused or self.lost or not self.left:
            return False
        self.left -= (size := min(size, self.left))
        self.reader.feed_data(b"x" * size)
        if self.left:
            self.body.arrived()
        else:
            self.reader.feed_eof()
        return True

    def break_off(self) -> None:
        if self.left and not self.lost:
            self.lost = True
            self.reader.set_exception(aiohttp.ClientPayloadError())
            self.body.lost()

    async def read_all(self) -> int:
        """Read as a list does: a record is kept until it is whole."""
        return await self.consume(lambda kept: None)

    async def read_slowly(self) -> int:
        """Read as a stream does: after each record its consumer may take its time."""
        return await self.consume(self.response.delivered)

    async def consume(self, delivered: Callable[[int], None]) -> int:
        records = kept = 0
        with self.scope:
            try:
                while piece := await self.response.read(kept, RECORD):
                    kept += len(piece)
                    while kept >= RECORD:
                        kept -= RECORD
                        records += 1
                        delivered(kept)
                        await self.wants.wait()
            finally:
                self.response.close()
        return records


async def play(seed: int) -> None:
    """Let what may happen to six bodies happen in one order; then let all that goes on go on to its end."""
    chance = random.Random(seed)
    budget = ByteBudget(chance.choice([1, 150_000, 400_000]), 1000)
    bodies = [Connection(budget) for _ in range(6)]
    tasks = {asyncio.ensure_future(chance.choice([body.read_all, body.read_slowly])()): body for body in bodies}
    await asyncio.sleep(0)  # each has begun: only one that has begun closes its response
    for _ in range(chance.randrange(20, 120)):
        body = chance.choice(bodies)
        match chance.randrange(12):
            case 0:
                chance.choice([task for task, each in tasks.items() if each is body]).cancel()
            case 1 if chance.random() < 0.3:
                body.break_off()
            case 2:
                body.wants.clear()
            case 3:
                body.wants.set()
            case 4 | 5:
                await asyncio.sleep(0)
            case _:
                body.send(chance.randrange(1, 40_000))
    for body in bodies:
        body.wants.set()
    idle = 0
    while not all(task.done() for task in tasks) and idle < 20:
        sent = [body.send(chance.randrange(1, 60_000)) for body in bodies]
        await asyncio.sleep(0)
        idle = 0 if any(sent) else idle + 1
    for task, body in tasks.items():
        assert task.done(), f"seed {seed}: forgotten"
        if not task.cancelled():
            assert isinstance(task.exception(), TransportError) if body.left else task.result() == RECORDS, seed
    assert (budget.used, budget.lent, len(budget.waiting)) == (0, 0, 0), seed


@pytest.mark.parametrize("first", range(0, 400, 100))
async def test_no_order_of_events_leaves_a_reader_waiting(first: int) -> None:
    """Bytes, cancellations, lost connections and slow consumers in 400 orders: each reader ends, and nothing is held."""
    for seed in range(first, first + 100):
        await play(seed)


async def test_a_lost_connection_waits_for_no_room() -> None:
    """A body whose connection is lost while it waits for room fails at once, and holds nothing any more."""
    budget = ByteBudget(1, 1000)
    first, second = Connection(budget), Connection(budget)
    tasks = [asyncio.ensure_future(body.read_all()) for body in (first, second)]
    for body in (first, second):
        body.send(50_000)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert list(budget.waiting.values())
    second.break_off()
    with pytest.raises(TransportError, match="the body was cut"):
        await tasks[1]
    assert not budget.waiting
    while not tasks[0].done():
        first.send(50_000)
        await asyncio.sleep(0)
    assert (await tasks[0], budget.used, budget.lent) == (RECORDS, 0, 0)


async def test_an_idle_consumer_is_charged_for_what_is_kept() -> None:
    """What a slow consumer of a stream has not taken counts, and it has no turn meanwhile."""
    budget = ByteBudget(8 * MEBIBYTE, 1000)
    body = Connection(budget)
    body.wants.clear()
    task = asyncio.ensure_future(body.read_slowly())
    body.send(2 * RECORD + 90_000)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert budget.used == RECORD + 90_000 - budget.free_bytes
    assert not budget.lent
    body.wants.set()
    body.send(10_000)
    assert await task == RECORDS
    assert (budget.used, budget.lent) == (0, 0)


@pytest.mark.parametrize(
    ("headers", "covered"),
    [
        ({"Content-Length": "300000"}, 300_000),
        ({}, 16 * MEBIBYTE),
        ({"Content-Length": "9" * 5000}, 16 * MEBIBYTE),
        ({"Content-Length": "300000", "Content-Encoding": "gzip"}, 16 * MEBIBYTE),
    ],
)
async def test_a_turn_covers_no_more_than_the_body(headers: dict[str, str], covered: int) -> None:
    """Where the length of a body is known, a turn to read it takes that much of the budget, not the largest body allowed."""
    budget = ByteBudget(1, 1000)
    body = Connection(budget, 300_000, headers)
    waiting = asyncio.ensure_future(body.body.room(100_000, 16 * MEBIBYTE, body.scope, headers))
    await asyncio.sleep(0)
    assert budget.lent == covered
    await waiting
    body.body.leave()
    assert not budget.lent

"""Slots, and the fair queue before them."""

from __future__ import annotations

import asyncio
import random

import pytest
from support import settle

from arzamed_async._concurrency.semaphore import FairSemaphore

pytestmark = pytest.mark.asyncio


async def enter(bulkhead: FairSemaphore, order: list[int], number: int) -> None:
    if not bulkhead.acquire_nowait():
        await bulkhead.acquire()
    order.append(number)


async def test_who_waits_is_served_in_turn_and_never_overtaken() -> None:
    """A slot given back goes to the first in the queue, and a newcomer finds none free."""
    bulkhead = FairSemaphore(1)
    order: list[int] = []
    tasks = [asyncio.create_task(enter(bulkhead, order, number)) for number in range(4)]
    await settle()
    assert (order, bulkhead.taken, bulkhead.waiting) == ([0], 1, 3)
    bulkhead.release()
    assert not bulkhead.acquire_nowait()
    for _ in range(3):
        await settle()
        bulkhead.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]
    assert (bulkhead.taken, bulkhead.waiting) == (0, 0)


async def test_a_slot_given_in_the_tick_of_a_cancellation_is_not_lost() -> None:
    """Who is cancelled when its turn has just come passes the slot on."""
    bulkhead = FairSemaphore(1)
    order: list[int] = []
    assert bulkhead.acquire_nowait()
    first, second = (asyncio.create_task(enter(bulkhead, order, number)) for number in (1, 2))
    await settle()
    bulkhead.release()
    first.cancel()
    await settle()
    assert order == [2]
    bulkhead.release()
    assert bulkhead.taken == 0
    await asyncio.wait([first, second])


async def test_one_cancelled_in_the_queue_is_passed_over() -> None:
    """A slot given back in the tick in which the first in the queue is cancelled goes to the next."""
    bulkhead = FairSemaphore(1)
    order: list[int] = []
    assert bulkhead.acquire_nowait()
    first, second = (asyncio.create_task(enter(bulkhead, order, number)) for number in (1, 2))
    await settle()
    first.cancel()
    bulkhead.release()
    await asyncio.wait([first, second])
    assert order == [2]
    bulkhead.release()
    assert (bulkhead.taken, bulkhead.waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_a_storm_of_cancellations_loses_no_slot(seed: int) -> None:
    """Whatever is cancelled when, there are never more inside than slots, and in the end all are free."""
    rng = random.Random(seed)
    bulkhead = FairSemaphore(3)
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        if not bulkhead.acquire_nowait():
            await bulkhead.acquire()
        inside += 1
        most = max(most, inside)
        try:
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
        finally:
            inside -= 1
            bulkhead.release()

    tasks = []
    for _ in range(500):
        tasks.append(asyncio.create_task(work()))
        if rng.random() < 0.5:
            rng.choice(tasks).cancel()
        if rng.random() < 0.3:
            await asyncio.sleep(0)
    await asyncio.wait(tasks)
    assert most == 3
    assert (bulkhead.taken, bulkhead.waiting) == (0, 0)

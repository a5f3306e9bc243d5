"""The guard around a piece of work, and the timer that all guards share."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from unittest.mock import Mock

import pytest
from support import CLOCK_BIT

from arzamed_async._concurrency.cancel_scope import CancelScope, CancelScopes

pytestmark = pytest.mark.asyncio


async def ended_by(scope: CancelScope, work: asyncio.Future[None]) -> str | None:
    with scope:
        await work
    return scope.cancelled_by


async def test_each_ends_at_its_own_deadline() -> None:
    """Scopes with deadlines in any order each end at theirs, not before; those without are left alone."""
    loop = asyncio.get_running_loop()
    scopes = CancelScopes(loop)
    never: asyncio.Future[None] = loop.create_future()
    started = loop.time()
    ends: dict[int, float] = {}

    async def work(number: int) -> None:
        assert await ended_by(CancelScope(scopes, started + number * 0.01), loop.create_future()) == "deadline"
        ends[number] = loop.time() - started

    endless = asyncio.create_task(ended_by(CancelScope(scopes, None), never))
    await asyncio.gather(*(work(number) for number in (5, 1, 9, 3, 7)))
    assert list(ends) == [1, 3, 5, 7, 9]
    assert all(at >= number * 0.01 - CLOCK_BIT for number, at in ends.items())
    never.set_result(None)
    assert await endless is None
    assert list(scopes) == []


async def test_a_thousand_short_calls_wind_one_timer() -> None:
    """Scopes that end by themselves cost no timer each: the first has wound the one they share."""
    loop = asyncio.get_running_loop()
    scopes = CancelScopes(loop)
    wound: list[float] = []
    call_at = loop.call_at
    loop.call_at = lambda at, *rest, **more: wound.append(at) or call_at(at, *rest, **more)  # type: ignore[method-assign]
    try:
        for _ in range(1000):
            with CancelScope(scopes, loop.time() + 30, 15):
                pass
    finally:
        del loop.call_at  # type: ignore[method-assign]
    assert len(wound) == 1
    scopes.cancel()


async def test_a_deadline_moved_on_is_kept() -> None:
    """extend_by moves the deadline, also where the timer had been wound for the old one."""
    loop = asyncio.get_running_loop()
    scopes = CancelScopes(loop)
    started = loop.time()
    scope = CancelScope(scopes, started + 0.02)
    with scope:
        scope.extend_by(0.06)
        assert scope.deadline == pytest.approx(started + 0.06, abs=0.02)
        await asyncio.sleep(1)
    assert scope.cancelled_by == "deadline"
    assert loop.time() - started > 0.059  # uvloop's clock counts milliseconds


async def test_silence_is_told_from_the_deadline() -> None:
    """No byte for read_seconds cancels once, is taken back by `silent`, and the work goes on under its deadline."""
    loop = asyncio.get_running_loop()
    scope = CancelScope(CancelScopes(loop), loop.time() + 10, 0.02)
    silences = 0
    with scope:
        for _ in range(2):
            scope.expect_bytes()
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                assert scope.read_timed_out()
                silences += 1
            scope.got_bytes()
        scope.expect_bytes()
        scope.got_bytes()
        await asyncio.sleep(0.05)  # nothing is waited for: this is no silence
    assert (silences, scope.cancelled_by) == (2, None)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_a_silence_that_nobody_has_seen_is_taken_back() -> None:
    """Where the work ends in the tick in which it was found silent, the task is not left cancelled."""
    loop = asyncio.get_running_loop()
    scope = CancelScope(CancelScopes(loop), None, 0.01)

    async def work() -> int:
        with scope:
            scope.expect_bytes()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert await asyncio.create_task(work()) == 0


async def test_infinity_sets_no_timer() -> None:
    """Endless deadlines and reads wind nothing."""
    loop = asyncio.get_running_loop()
    scopes = CancelScopes(loop)
    with CancelScope(scopes, math.inf, math.inf):
        assert scopes._timer is None


class Ticking:
    """A loop whose time is handed in, with one timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rings: list[float] = []
        self.next: tuple[float, Callable[[], None]] | None = None

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, ring: Callable[[], None]) -> asyncio.TimerHandle:
        self.next = at, ring
        return Mock()

    def run(self) -> None:
        while self.next is not None:
            (self.now, ring), self.next = self.next, None
            self.rings.append(self.now)
            ring()


class Due:
    """A scope that has to be looked at once."""

    def __init__(self, at: float) -> None:
        self.rings_at = at

    def ring(self, now: float) -> None:
        assert now >= self.rings_at
        self.rings_at = math.inf


@pytest.mark.parametrize(("count", "most_rings"), [(10, 10), (1000, 201), (10_000, 51), (50_000, 11)])
async def test_the_timer_looks_at_half_a_million_scopes_a_second_at_most(count: int, most_rings: int) -> None:
    """However many scopes are open and however their alarms are spread, the timer takes little of the loop's time."""
    loop = Ticking()
    scopes = CancelScopes(loop)  # type: ignore[arg-type]
    due = [Due(1 + number / count) for number in range(count)]
    for each in due:
        scopes.add(each)  # type: ignore[arg-type]
    loop.run()
    assert {each.rings_at for each in due} == {math.inf}
    assert 1 <= len(loop.rings) <= most_rings

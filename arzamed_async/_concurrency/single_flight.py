"""Identical reads at the same time become one, shared by all who asked. It knows no HTTP.

The read belongs to nobody who waits for it: a caller's cancellation or deadline disturbs no other. When
nobody is left who wants it, it is cancelled. Nothing outlives it: who comes after its end starts anew.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from ..errors import ArzamedError, DeadlineExceededError, SessionClosedError

__all__ = ["Reads"]

T = TypeVar("T")


class _Sealed(Generic[T]):
    """A read's outcome under a repr that does not show it: those of tasks and futures do, and asyncio's debug mode logs them."""

    __slots__ = ("outcome",)

    def __init__(self, outcome: T) -> None:
        self.outcome = outcome


class _Read:
    """One read on its way, those who wait for it, and when each of them gives up (loop time); they share one timer."""

    __slots__ = ("_loop", "_rings_at", "_timer", "key", "task", "waiting")

    def __init__(self, key: Hashable, loop: asyncio.AbstractEventLoop) -> None:
        self.key = key
        self.task: asyncio.Task[Any]
        self.waiting: dict[asyncio.Future[Any], float] = {}
        self._loop = loop
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def outcome(self, seconds: float) -> asyncio.Future[Any]:
        """Return a future of the caller's own; it ends in so many seconds at the latest."""
        waiter: asyncio.Future[Any] = self._loop.create_future()
        deadline = self.waiting[waiter] = self._loop.time() + seconds
        if deadline < self._rings_at:
            self._wind(deadline)
        return waiter

    def _wind(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = at
        self._timer = None if at == math.inf else self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        for waiter, deadline in self.waiting.items():
            if deadline <= now and not waiter.done():
                waiter.set_result(DeadlineExceededError())
        self._wind(min((deadline for deadline in self.waiting.values() if deadline > now), default=math.inf))

    def landed(self, task: asyncio.Task[Any]) -> None:
        """Hand the outcome to all who wait; a read that was cancelled under them tells of a closed session."""
        self._wind(math.inf)
        error = None if task.cancelled() else task.exception()
        outcome = SessionClosedError("the session was closed during this call") if task.cancelled() else None
        for waiter in self.waiting:
            if waiter.done():
                continue
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(outcome or task.result())


class Reads:
    """The reads on their way, by key. `spawn` starts a task. Use it from one event loop."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]) -> None:
        self._spawn = spawn
        self._reads: dict[Hashable, _Read] = {}

    def leave_loop(self) -> None:
        """Forget the reads of an event loop that no longer runs."""
        self._reads.clear()

    async def join(self, key: Hashable, read: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Return what the read under this key returns, started if there is none.

        Raises its ArzamedError, DeadlineExceededError after so many seconds, SessionClosedError: the caller's own copy.
        """
        flight = self._reads.get(key)
        if flight is None or flight.task.done():  # (cancelled before its first step, it could not take itself off)
            flight = self._reads[key] = _Read(key, asyncio.get_running_loop())
            flight.task = self._spawn(self._run(flight, read))
            flight.task.add_done_callback(flight.landed)
        del key  # it holds what no traceback should show, locals and all
        waiter = flight.outcome(seconds)
        try:
            outcome: _Sealed[T] | ArzamedError = await waiter
        finally:
            flight.waiting.pop(waiter, None)
            if not flight.waiting and not flight.task.done():
                self._forget(flight)
                flight.task.cancel()
                await asyncio.wait([flight.task])
        if isinstance(outcome, ArzamedError):
            raise copy.copy(outcome)
        return outcome.outcome

    async def _run(self, flight: _Read, read: Callable[[], Awaitable[T]]) -> _Sealed[T] | ArzamedError:
        try:
            return _Sealed(await read())
        except ArzamedError as error:
            return error.with_traceback(None)
        finally:
            self._forget(flight)

    def _forget(self, flight: _Read) -> None:
        if self._reads.get(flight.key) is flight:
            del self._reads[flight.key]

"""Identical reads at the same time become one, shared by all who asked. It knows no HTTP.

The read belongs to nobody who waits for it: a caller's cancellation or deadline disturbs no other. When
nobody is left who wants it, it is cancelled. Nothing outlives it: who comes after its end starts anew.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, TypeVar

from .errors import ArzamedError

__all__ = ["Reads"]

T = TypeVar("T")


class _Read:
    """One read on its way, and those who wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self) -> None:
        self.task: asyncio.Task[Any]
        self.waiting: dict[asyncio.Future[Any], None] = {}

    def landed(self, task: asyncio.Task[Any]) -> None:
        """Hand the outcome to all who wait."""
        for waiter in self.waiting:
            if waiter.done():
                continue
            if task.cancelled():
                waiter.cancel()
            elif (error := task.exception()) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(task.result())


class Reads:
    """The reads on their way, by key. `spawn` starts a task. Use it from one event loop."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]) -> None:
        self._spawn = spawn
        self._reads: dict[Hashable, _Read] = {}

    async def join(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return what the read under this key returns, started if there is none. Errors are the caller's own copies."""
        flight = self._reads.get(key)
        if flight is None:
            flight = self._reads[key] = _Read()
            flight.task = self._spawn(self._run(key, flight, read))
            flight.task.add_done_callback(flight.landed)
        waiter: asyncio.Future[T | ArzamedError] = flight.task.get_loop().create_future()
        flight.waiting[waiter] = None
        try:
            outcome = await waiter
        finally:
            flight.waiting.pop(waiter, None)
            if not flight.waiting and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()
                await asyncio.wait([flight.task])
        if isinstance(outcome, ArzamedError):
            raise copy.copy(outcome)
        return outcome

    async def _run(self, key: Hashable, flight: _Read, read: Callable[[], Awaitable[T]]) -> T | ArzamedError:
        try:
            return await read()
        except ArzamedError as error:
            return error.with_traceback(None)
        finally:
            self._forget(key, flight)

    def _forget(self, key: Hashable, flight: _Read) -> None:
        if self._reads.get(key) is flight:
            del self._reads[key]

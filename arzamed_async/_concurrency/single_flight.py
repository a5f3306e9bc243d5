"""One piece of work for all callers that want the same at the same time. It knows no HTTP.

The work belongs to nobody who waits for it: a caller's cancellation or deadline disturbs no other. Nothing outlives it:
a caller that comes after its end starts it again.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from ..errors import ArzamedError, SessionClosedError
from .cancel_scope import note_phase

__all__ = ["Describe", "Flight", "SingleFlight"]

T = TypeVar("T")

#: `Flight.describe`, as it is handed to the work.
Describe = Callable[[Callable[[], str]], None]


class Flight(Generic[T]):
    """Work under way, and the callers that wait for it.

    Its outcome is kept here, and not in a task or a future: their reprs show theirs, and asyncio's debug mode logs them.
    """

    __slots__ = ("_doing", "_landed", "_outcome", "_waiters", "awaited", "key", "loop", "task")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.loop = asyncio.get_running_loop()
        self.task: asyncio.Task[None] | None = None
        self.awaited = False  # whether a caller has ever waited for it
        self._doing: Callable[[], str] | None = None
        self._waiters: dict[asyncio.Future[None], None] = {}  # a set that keeps their order
        self._landed = False
        self._outcome: T | BaseException | None = None  # None where the task was cancelled

    @property
    def over(self) -> bool:
        """Whether the task has ended, which may be before its first step, where it was cancelled then."""
        return self.task is not None and self.task.done()

    @property
    def abandoned(self) -> bool:
        """Whether it goes on though nobody waits for it."""
        return not self._waiters and not self.over

    async def wait(self) -> T:
        """Return the outcome. Raises the caller's own copy of an ArzamedError, SessionClosedError where it was cancelled."""
        self.awaited = True
        if not (self._landed or self.over):  # an eager task (asyncio.eager_task_factory) may be over by now
            waiter = self.loop.create_future()
            self._waiters[waiter] = None
            try:
                await waiter
            except asyncio.CancelledError as error:
                if self._doing is not None:
                    note_phase(error, self._doing())
                raise
            finally:
                self._waiters.pop(waiter, None)
        outcome = self._outcome
        if outcome is None:
            raise SessionClosedError("the session was closed during this call")
        if isinstance(outcome, BaseException):
            raise copy.copy(outcome) if isinstance(outcome, ArzamedError) else outcome
        return outcome

    def describe(self, doing: Callable[[], str]) -> None:
        """Let the work report what it is doing, for the error of a caller whose deadline passes meanwhile."""
        self._doing = doing

    def land(self, outcome: T | BaseException) -> None:
        """Give the outcome to all callers that wait."""
        self._landed, self._outcome, self._doing = True, outcome, None
        self.wake()

    def wake(self, _task: asyncio.Task[None] | None = None) -> None:
        """Let the callers look at the outcome. Called at the task's end as well: one that was cancelled never lands."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class SingleFlight:
    """The work under way, by key. `spawn` starts a task. Use it from one event loop at a time."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] = asyncio.create_task) -> None:
        self._spawn = spawn
        self._flights: dict[Hashable, Flight[Any]] = {}

    def leave_loop(self) -> None:
        """Forget the work of an event loop that no longer runs."""
        self._flights.clear()

    def under_way(self, key: Hashable) -> Flight[Any] | None:
        """Return the work under this key on the running loop: that of a loop which no longer runs never ends."""
        flight = self._flights.get(key)
        return None if flight is None or flight.over or flight.loop is not asyncio.get_running_loop() else flight

    def is_newest(self, flight: Flight[Any]) -> bool:
        """Return whether no other work was started under its key meanwhile, on another loop."""
        return self._flights.get(flight.key) is flight

    def start(self, key: Hashable, work: Callable[[Flight[T]], Awaitable[T]]) -> Flight[T]:
        """Start work under this key. It is handed its flight."""
        flight: Flight[T] = Flight(key)
        self._flights[key] = flight
        flight.task = self._spawn(self._run(flight, work))
        flight.task.add_done_callback(flight.wake)
        return flight

    async def join(self, key: Hashable, work: Callable[[Flight[T]], Awaitable[T]]) -> T:
        """Return the outcome of the work under this key, started if need be; cancel it when nobody waits for it any more."""
        flight: Flight[T] = self.under_way(key) or self.start(key, work)
        key = None  # it holds what no traceback should show, locals and all
        try:
            return await flight.wait()
        finally:
            if flight.abandoned and flight.task is not None:
                self._forget(flight)
                flight.task.cancel()
                await asyncio.wait([flight.task])

    async def _run(self, flight: Flight[T], work: Callable[[Flight[T]], Awaitable[T]]) -> None:
        """Hand a failure on as a value: one that nobody waits for is no exception that asyncio has to log."""
        outcome: T | BaseException
        try:
            outcome = await work(flight)
        except ArzamedError as error:
            outcome = error.with_traceback(None)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as bug:  # such as what pytest.fail raises, in an observer
            flight.land(bug)
            if flight.awaited and not isinstance(bug, (KeyboardInterrupt, SystemExit)):
                return
            raise
        finally:
            self._forget(flight)
        flight.land(outcome)

    def _forget(self, flight: Flight[Any]) -> None:
        if self.is_newest(flight):
            del self._flights[flight.key]

"""A session's way to its TokenStore: few calls at once, each bounded in time, and a rest for a store that fails.

A thousand clinics in need of a token wait here for each other, and that is not the store's slowness: its time is
counted from when it is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from attrs import Factory, define

from .._concurrency.lifetime import Lifetime
from .._concurrency.semaphore import Bulkhead
from .._telemetry import Notices
from ..events import TokenStoreFailed
from ..token_store import StoredToken
from .oauth2 import LONGEST_LIFETIME_SECONDS, is_token

__all__ = ["StoreDoor", "StoreFailedError", "Visit"]

R = TypeVar("R")

#: One answer of the store is waited for so long, and all that one token takes together so long (250 ms are promised).
ANSWER_SECONDS = 0.2
BUDGET_SECONDS = 0.22
#: A store that has failed is left alone so long; one that gives no answer in time, when that has happened so often in
#: succession: on a busy machine a single call may take long.
REST_SECONDS = 5.0
LATE_IN_SUCCESSION = 3
#: Calls of one session that are in the store at once.
AT_ONCE = 6
#: Time is counted in pieces of so long: of one in which the event loop stood still longer, no more than this counts.
PIECE_SECONDS = 0.04
#: An answer may have come while the event loop was busy: it takes so many turns to be seen.
TURNS = 5


class StoreFailedError(Exception):
    """The store gave no answer; never leaves the modules that share tokens."""


@define(eq=False)
class Visit:
    """What one token costs in the store: `seconds_left` of its budget, and whether anything has failed.

    A refusal is kept under `refusal_key`: that is `key`, where `key` has the secret in it.
    """

    clinic: str
    key: str
    refusal_key: str
    began_at: float
    seconds_left: float = Factory(lambda: BUDGET_SECONDS)
    failed: bool = False

    def begin_anew(self) -> None:
        """Let all of the budget be left."""
        self.seconds_left = BUDGET_SECONDS


def _checked(answer: R, kind: Any) -> R:
    """Return a store's answer if it is what the protocol says: what is kept elsewhere may be anybody's."""
    if not isinstance(answer, kind):
        raise TypeError
    if isinstance(answer, StoredToken):
        life = answer.age_seconds + answer.seconds_left
        if not is_token(answer.access_token) or not 0 <= life <= LONGEST_LIFETIME_SECONDS or answer.age_seconds < 0:
            raise ValueError
    return answer


class StoreDoor:
    """Asks a store, and knows whether it is well. It belongs to one event loop at a time."""

    def __init__(self, notices: Notices, lifetime: Lifetime) -> None:
        self._notices = notices
        self._lifetime = lifetime
        self._failing = False
        self._rests_until = 0.0
        self._late = 0
        self._slots = Bulkhead(AT_ONCE)
        lifetime.on_new_loop(self._leave_loop)

    def _leave_loop(self) -> None:
        self._slots = Bulkhead(AT_ONCE)

    def visit(self, clinic: str, key: str, refusal_key: str) -> Visit | None:
        """Begin to ask for a token of this clinic; None while the store is left alone."""
        now = asyncio.get_running_loop().time()
        return None if now < self._rests_until else Visit(clinic, key, refusal_key, now)

    async def ask(self, visit: Visit, work: Callable[[], Awaitable[R]], kind: Any = object, *, rests: bool = True) -> R:
        """Return what the store answers.

        Raises StoreFailedError, and tells of it; and because another has just met one, unless `rests` is False.
        """
        loop, slots = asyncio.get_running_loop(), self._slots
        if not slots.take():
            await slots.wait()
        try:
            if rests and loop.time() < self._rests_until:
                raise StoreFailedError
            try:
                answer = _checked(await self._within(visit, work), kind)
            except Exception as error:  # noqa: BLE001 - whatever a store does, the call goes on
                failure = type(error)
            else:
                self._late = 0
                return answer
        finally:
            slots.give()
        self._failed(visit, failure)
        raise StoreFailedError

    async def try_to(self, visit: Visit, work: Callable[[], Awaitable[object]]) -> None:
        """Do what nobody waits for an answer to, with time of its own; a failure is told and disturbs nothing."""
        visit.begin_anew()
        with contextlib.suppress(StoreFailedError):
            await self.ask(visit, work, rests=False)

    def well(self, visit: Visit) -> None:
        """Take note that the store has done all that it was asked to for a token, if so: its next failure is news."""
        if not visit.failed and visit.began_at >= self._rests_until:
            self._failing = False

    async def _within(self, visit: Visit, work: Callable[[], Awaitable[R]]) -> R:
        """Return what comes of it in time. A store that takes its time to be cancelled is not waited for."""

        async def call() -> R:
            return await work()

        loop, left = asyncio.get_running_loop(), min(ANSWER_SECONDS, visit.seconds_left)
        task = self._lifetime.spawn_outliving(call())
        try:
            while left > 0 and not task.done():
                piece, began = min(left, PIECE_SECONDS), loop.time()
                await asyncio.wait((task,), timeout=piece)
                passed = min(piece, loop.time() - began)
                left -= passed
                visit.seconds_left -= passed
            for _ in range(TURNS):
                if not task.done():
                    await asyncio.sleep(0)
            if not task.done():
                raise TimeoutError
            return task.result()
        finally:
            task.cancel()

    def _failed(self, visit: Visit, error: type[Exception]) -> None:
        visit.failed = True
        self._late += 1
        if error is not TimeoutError or self._late >= LATE_IN_SUCCESSION:
            self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
        if not self._failing:
            self._failing = True
            self._notices.emit(TokenStoreFailed(clinic=visit.clinic, error=error.__name__))

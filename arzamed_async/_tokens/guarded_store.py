"""Calls a TokenStore: a few calls at a time, each within a time limit, and none for a while after the store has failed.

The time limit covers only the store's own time, not the time that a call waits here for its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from .._concurrency.lifetime import Lifetime
from .._concurrency.semaphore import FairSemaphore
from .._logs.setup import write
from .._telemetry import Observers
from ..errors import ConfigurationError
from ..events import TokenStoreFailed
from ..token_store import Lease, StoredRejection, StoredToken, TokenStore
from .foreign import class_name, text_of

__all__ = ["GuardedStore", "StoreBudget", "StoreUnavailableError"]

#: The time limit of one call to the store, and of all calls for one token together (250 ms are promised).
ANSWER_SECONDS = 0.2
BUDGET_SECONDS = 0.22
#: No call is made for this long after the store has raised an exception, or after this number of calls in succession ran
#: out of time. One alone does not count: on a busy machine a single call may be slow.
REST_SECONDS = 5.0
LATE_IN_SUCCESSION = 3
#: The number of calls that one session makes at a time.
AT_ONCE = 6
#: An outage is reported at its start, and again after this long while it lasts.
REPORT_SECONDS = 300.0
#: Time is counted in pieces of this length: while the event loop was blocked for longer, no more than this counts.
PIECE_SECONDS = 0.04
#: A result may have arrived while the event loop was busy: it is noticed within this number of turns.
TURNS = 5


class StoreCancelledError(Exception):
    """A method of the store raised a CancelledError although it was not cancelled, or another BaseException."""


#: Exceptions that are bugs of the store and no outage. A pause does not help: they are logged with their place.
MISTAKES = (TypeError, AttributeError, NameError, NotImplementedError, ImportError, StoreCancelledError)


class StoreUnavailableError(Exception):
    """The store returned no usable result. It is caught by the modules that share tokens, and never reaches a caller."""


class StoreBudget:
    """The time that calls of the store may take for one token (`seconds_left`), and their outcome.

    `failed`: a call failed. `wrote`: a call that changes the store succeeded. The token is stored under `key`, a rejection
    under `refusal_key`, which depends on the secret as well. If the token replaces one that the API rejected, this is
    recorded in the store: `record` is the key of that entry, and its duration.
    """

    def __init__(self, clinic: str, key: str, refusal_key: str, began_at: float) -> None:
        self.clinic = clinic
        self.key = key
        self.refusal_key = refusal_key
        self.began_at = began_at
        self.seconds_left = BUDGET_SECONDS
        self.failed = self.wrote = False
        self.record: tuple[str, float] | None = None
        self._process = os.getpid()

    @property
    def forked(self) -> bool:
        """Whether this copy is in a forked child. Calls in progress and the lease belong to the parent then."""
        return self._process != os.getpid()

    def copy(self) -> StoreBudget:
        """Return a separate budget with the same values."""
        return copy.copy(self)

    def record_under(self, key: str, seconds: float) -> None:
        """Set the key of the record, and its duration."""
        self.record = key, seconds

    def reset(self) -> None:
        """Reset `seconds_left` to the full time."""
        self.seconds_left = BUDGET_SECONDS


def _result_of(task: asyncio.Task[Any]) -> Any:
    error = None if task.cancelled() else task.exception()
    if task.cancelled() or not (error is None or isinstance(error, (Exception, KeyboardInterrupt, SystemExit))):
        raise StoreCancelledError
    return task.result()


def _is_bad(entry: object, *kinds: type) -> type[Exception] | None:
    """Check a value that a store returned, which anyone may have written. Return an exception class; None if it is valid.

    Unless its type is exactly an expected one, no method of the value is called, nor is it compared or formatted.
    """
    if type(entry) not in kinds:
        return TypeError
    try:
        return None if entry.is_valid() else ValueError  # type: ignore[attr-defined]
    except AttributeError:  # one that was made without its fields
        return ValueError


class GuardedStore:
    """Wraps a token store, so that it can neither delay nor break a call. It belongs to one event loop at a time.

    `load`, `discard` and `acquire` raise StoreUnavailableError. `save`, `renew` and `release` never raise, since no caller
    waits for their result. Each of them has its own time limit.
    """

    def __init__(self, store: TokenStore, observers: Observers, lifetime: Lifetime) -> None:
        self._store = store
        self._observers = observers
        self._lifetime = lifetime
        self._failing = self._refuses_writes = False
        self._rests_until = self._reports_at = 0.0
        self._late = 0
        self._reported: set[tuple[str, str]] = set()
        self._leave_loop()
        lifetime.on_new_loop(self._leave_loop)

    def _leave_loop(self) -> None:
        self._slots = FairSemaphore(AT_ONCE)

    def budget(self, clinic: str, key: str, refusal_key: str) -> StoreBudget | None:
        """Return the budget for a token of this clinic; None while the store is not called because it has failed."""
        now = asyncio.get_running_loop().time()
        return None if now < self._rests_until else StoreBudget(clinic, key, refusal_key, now)

    async def load(self, budget: StoreBudget, key: str) -> StoredToken | StoredRejection | None:
        """Return the entry under this key. An invalid entry counts as missing: it is reported, and overwritten later."""
        entry: StoredToken | StoredRejection | None = await self._call(budget, "load", key)
        if entry is None:
            return None
        problem = _is_bad(entry, StoredToken, StoredRejection)
        if problem is not None:
            self._record_failure(budget, problem, rests=False)
            return None
        return entry if entry.seconds_left > 0 else None

    async def discard(self, budget: StoreBudget, access_token: str) -> None:
        """Remove this token, if it is still the one in the store."""
        await self._call(budget, "discard", budget.key, access_token)

    async def acquire(self, budget: StoreBudget, seconds: float) -> Lease | None:
        """Return the lease to request a token, None while another process has it."""
        lease: Lease | None = await self._call(budget, "acquire", budget.key, seconds)
        if lease is None:
            return None
        problem = _is_bad(lease, Lease) or (None if lease.key == budget.key else ValueError)
        if problem is not None:
            self._record_failure(budget, problem, rests=True)
            raise StoreUnavailableError
        return lease

    async def save(
        self, budget: StoreBudget, key: str, entry: StoredToken | StoredRejection, lease: Lease | None
    ) -> None:
        """Store an entry."""
        await self._try(budget, "save", key, entry, lease)

    async def renew(self, budget: StoreBudget, lease: Lease, seconds: float) -> None:
        """Extend a lease."""
        await self._try(budget, "renew", lease, seconds)

    async def release(self, budget: StoreBudget, lease: Lease) -> None:
        """Return a lease, so that another process may have it at once."""
        await self._try(budget, "release", lease)

    def record_success(self, budget: StoreBudget) -> None:
        """If all calls for a token succeeded, end the outage, so that the next failure is reported again.

        If nothing can be written (a replica, a full server), a token that can be loaded does not end the outage.
        """
        if not budget.failed and budget.began_at >= self._rests_until and (budget.wrote or not self._refuses_writes):
            self._failing = self._refuses_writes = False

    async def _try(self, budget: StoreBudget, method: str, *arguments: object) -> None:
        budget.reset()
        with contextlib.suppress(StoreUnavailableError):
            await self._call(budget, method, *arguments, rests=False)

    async def _call(self, budget: StoreBudget, method: str, *arguments: object, rests: bool = True) -> Any:
        """Call a method of the store and return its result. With `rests`, fail at once while the store is not called."""
        loop, slots = asyncio.get_running_loop(), self._slots
        if not slots.acquire_nowait():
            await slots.acquire()
        try:
            if rests and loop.time() < self._rests_until:
                raise StoreUnavailableError
            try:
                result = await self._within(budget, method, *arguments)
            except Exception as error:  # noqa: BLE001 - whatever a store does, the call goes on
                failure = type(error)
                mistake = isinstance(error, MISTAKES)
                if isinstance(error, ConfigurationError):
                    self._report_configuration(error)
                if mistake:
                    self._report_mistake(method, failure, _place(error.__traceback__))
            else:
                self._late = 0
                budget.wrote |= method != "load"
                return result
        finally:
            slots.release()
        self._refuses_writes |= method != "load"
        self._record_failure(budget, failure, rests=not mistake)
        raise StoreUnavailableError

    async def _within(self, budget: StoreBudget, method: str, *arguments: object) -> Any:
        """Return the result, or raise TimeoutError. If the store ignores the cancellation, its end is not awaited."""

        async def call() -> Any:  # which may fail before there is anything to await
            return await getattr(self._store, method)(*arguments)

        loop, left = asyncio.get_running_loop(), min(ANSWER_SECONDS, budget.seconds_left)
        task = self._lifetime.spawn_outliving(call())
        try:
            while left > 0 and not task.done():
                piece, began = min(left, PIECE_SECONDS), loop.time()
                await asyncio.wait((task,), timeout=piece)
                passed = min(piece, loop.time() - began)
                left -= passed
                budget.seconds_left -= passed
            for _ in range(TURNS):
                if not task.done():
                    await asyncio.sleep(0)
            if not task.done():
                raise TimeoutError
            return _result_of(task)
        except asyncio.CancelledError:
            if method == "acquire" and not budget.forked:
                await asyncio.wait((self._lifetime.spawn_outliving(self._give_back(budget.copy(), task)),))
            raise
        finally:
            task.cancel()

    async def _give_back(self, budget: StoreBudget, acquiring: asyncio.Task[Any]) -> None:
        """Release the lease that a call returns whose caller was cancelled: else all wait until it expires.

        In the slot of that call, which may be the last one.
        """
        await asyncio.wait((acquiring,), timeout=ANSWER_SECONDS)
        if acquiring.done() and not acquiring.cancelled() and acquiring.exception() is None:
            lease = acquiring.result()
            if _is_bad(lease, Lease) is None:
                budget.reset()
                with contextlib.suppress(Exception):
                    await self._within(budget, "release", lease)

    def _report_mistake(self, method: str, error: type[Exception], place: str) -> None:
        """Log a mistake in the store, each once."""
        name = class_name(error)
        if (method, name) not in self._reported:
            self._reported.add((method, name))
            text = "the token store has a bug: %s.%s() raised %s%s; tokens are requested without it"
            write(logging.ERROR, text, class_name(type(self._store)), method, name, place)

    def _report_configuration(self, error: ConfigurationError) -> None:
        """Log why the store cannot be used as it is configured, once: no rest helps there."""
        if ("", "") not in self._reported:
            self._reported.add(("", ""))
            what = text_of(error)
            write(logging.ERROR, "the token store cannot be used: %s; tokens are requested without it", what)

    def _record_failure(self, budget: StoreBudget, error: type[Exception], *, rests: bool) -> None:
        budget.failed = True
        now = asyncio.get_running_loop().time()
        if rests:
            self._late += 1
            if error is not TimeoutError or self._late >= LATE_IN_SUCCESSION:
                self._rests_until = now + REST_SECONDS
        if not self._failing or now >= self._reports_at:
            self._failing, self._reports_at = True, now + REPORT_SECONDS
            self._observers.emit(TokenStoreFailed(clinic=budget.clinic, error=class_name(error)))


def _place(traceback: TracebackType | None) -> str:
    """Return the file and line of the store where an exception was raised, "" where it was not called at all."""
    place = ""
    while traceback is not None:
        path = traceback.tb_frame.f_code.co_filename
        place = "" if path == __file__ else f" ({Path(path).name}, line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place

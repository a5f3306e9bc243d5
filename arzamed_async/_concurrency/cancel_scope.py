"""One guard for a piece of work: it ends at a deadline, or when the session is closed; and it sees a server fall silent.

asyncio.timeout would do for the deadline, but then closing the session needs a second mechanism and each call two
of them, each with a timer. This is the same technique (cancel the task once, take the cancellation back on the way
out) for all of it. A read that goes well only notes the time, and all scopes of an event loop share one timer: it
rings when the first of them may have to end, looks at all, and is set anew. Where calls are short that is hardly ever.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, Self

__all__ = ["CancelScope", "CancelScopes", "cancel_and_wait", "current_task_or_none"]

Reason = Literal["deadline", "closed", "left"]

#: The timer rings no more often than this: what ends may end so much later, however many end one after the other.
PAUSE_SECONDS = 0.005
#: Nor more often than this for each scope that is open, for a ring looks at all: so it takes a tenth of the loop's
#: time at most, be they tens of thousands.
PAUSE_SECONDS_EACH = 2e-6


class CancelScopes:
    """The scopes open on one event loop, and their timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.open: set[CancelScope] = set()
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[CancelScope]:
        return iter(tuple(self.open))

    def add(self, scope: CancelScope) -> None:
        """Watch a scope, for as long as it is among those that are `open`."""
        self.open.add(scope)
        if scope.rings_at < self._rings_at:
            self._wind(scope.rings_at)

    def cancel(self) -> None:
        """End all, for the session is closed."""
        for scope in self:
            scope.cancel("closed")
        if self._timer is not None:
            self._timer.cancel()
            self._rings_at = math.inf

    def _wind(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = at
        self._timer = self.loop.call_at(at, self._ring)

    def _ring(self) -> None:
        now = self.loop.time()
        self._rings_at, self._timer = math.inf, None
        soonest = math.inf
        for scope in self:
            if scope.rings_at <= now:
                scope.ring(now)
            soonest = min(soonest, scope.rings_at)
        if soonest != math.inf:
            self._wind(max(soonest, now + max(PAUSE_SECONDS, PAUSE_SECONDS_EACH * len(self.open))))


class CancelScope:
    """`with scope: ...` around awaits of one task; where `scope.cancelled_by` is set behind it, the work was cut short.

    `task` is the one inside; `deadline` is in loop time, None for none. The cancellation that ends the work never
    leaves the block, unless the task was cancelled from elsewhere as well. `read_seconds` bounds each wait between
    `listen` and `heard`.
    """

    __slots__ = (
        "_cancelling", "_listening_since", "_read_seconds", "_scopes", "_silent", "cancelled_by", "deadline", "rings_at",
        "task",
    )  # fmt: skip

    def __init__(self, scopes: CancelScopes, deadline: float | None, read_seconds: float = math.inf) -> None:
        self._scopes = scopes
        self._read_seconds = read_seconds
        self._listening_since: float | None = None
        self._silent = False
        self.deadline = deadline
        self.cancelled_by: Reason | None = None
        silent_at = math.inf if read_seconds == math.inf else scopes.loop.time() + read_seconds
        self.rings_at = silent_at if deadline is None or silent_at < deadline else deadline

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._scopes.loop)
        if task is None:
            raise RuntimeError("arzamed_async must be awaited inside a task")
        self.task = task
        self._cancelling = task.cancelling()
        self._scopes.add(self)
        return self

    def _set_alarm(self, silent_at: float) -> None:
        self.rings_at = silent_at if self.deadline is None else min(self.deadline, silent_at)

    def ring(self, now: float) -> None:
        """See whether the work has to end now, and when to look again."""
        if self.deadline is not None and now >= self.deadline:
            self.rings_at = math.inf
            self.cancel("deadline")
            return
        since = self._listening_since
        if since is not None and now >= since + self._read_seconds:
            self._listening_since = None
            self._silent = True
            self.task.cancel()
            since = None
        self._set_alarm((now if since is None else since) + self._read_seconds)

    def expect_bytes(self) -> None:
        """Take note that from now on the server's next byte is waited for."""
        self._listening_since = self._scopes.loop.time()

    def got_bytes(self) -> None:
        """Take note that it has come, or is waited for no more."""
        self._listening_since = None

    def read_timed_out(self) -> bool:
        """Tell whether the CancelledError just caught means that no byte came within read_seconds, and take it back."""
        if not self._silent:
            return False
        self._silent = False
        # Whoever else has cancelled the task in the same moment comes first.
        return self.task.uncancel() <= self._cancelling and self.cancelled_by is None

    def extend_by(self, seconds: float) -> None:
        """Set the deadline anew, so many seconds from now: what goes on inside has got further."""
        if self.deadline is not None:
            self.deadline = self._scopes.loop.time() + seconds  # an alarm that comes too soon is set anew

    def cancel(self, reason: Reason) -> None:
        """Cut the work short."""
        if self.cancelled_by is None and asyncio.current_task(self._scopes.loop) is not self.task:
            self.cancelled_by = reason
            self.task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._scopes.open.discard(self)
        if self._silent:  # nobody has caught it: the work had just ended
            self._silent = False
            self.task.uncancel()
        if self.cancelled_by is None:
            return False
        ours_alone = self.task.uncancel() <= self._cancelling
        return ours_alone and kind is not None and issubclass(kind, asyncio.CancelledError)


def current_task_or_none() -> asyncio.Task[Any] | None:
    """Return the task that runs, None outside of one: a finalizer runs where it likes."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


async def cancel_and_wait(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel these tasks, and wait until all have ended and left the set.

    Whoever waits may be cancelled meanwhile: they are cancelled once more, still waited for, and then that is raised.
    """
    cancelled: asyncio.CancelledError | None = None
    while tasks:
        for task in tasks:
            task.cancel()
        try:
            await asyncio.wait(tuple(tasks))
        except asyncio.CancelledError as error:
            if current_task_or_none() in tasks:
                raise  # it is one of them, and cannot wait for itself
            cancelled = error
    if cancelled is not None:
        raise cancelled

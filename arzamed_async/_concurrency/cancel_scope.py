"""Cancel scopes: they cancel the work of a task at a deadline, after a read timeout, or when the session closes.

asyncio.timeout would do for the deadline, but the end of a session and a read timeout would each need a mechanism and a
timer of their own. A scope uses the same technique (cancel the task once, withdraw the cancellation on the way out) for all
three. A read that succeeds only notes the time, and all scopes of an event loop share one timer: it fires when the first of
them may have to end, checks all, and is set again. Where calls are short it hardly ever fires.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Literal, Self

__all__ = ["CancelScope", "CancelScopes", "current_task_or_none", "note_phase", "wait_for_end"]

Reason = Literal["deadline", "closed", "left"]

#: The attribute of a CancelledError that holds the phase of the innermost work.
_PHASE = "arzamed_async_phase"
#: The timer fires at most this often, so a scope may end this much after its deadline.
PAUSE_SECONDS = 0.005
#: It also fires at most this often for each open scope, since it checks them all: with tens of thousands it takes at most
#: a tenth of the loop's time.
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
        """Cancel the work of all scopes: the session closes."""
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
    """`with scope: ...` around awaits of one task; if `scope.cancelled_by` is set afterwards, the work was cancelled.

    `task` is the task inside; `deadline` is in loop time, None for none. The scope's own cancellation never leaves the
    block, unless the task was cancelled from elsewhere as well. `read_seconds` limits each wait between `expect_bytes`
    and `got_bytes`; the last such wait began at `expected_at`. `phase` is what the work waits for, where that is not
    what it usually waits for: the code that waits sets it, and clears it after the wait, so that an error for the
    deadline can report where the time went.
    """

    __slots__ = (
        "_cancelling", "_expecting_since", "_read_seconds", "_scopes", "_timed_out", "cancelled_by", "deadline",
        "expected_at", "phase", "rings_at", "task",
    )  # fmt: skip

    def __init__(
        self, scopes: CancelScopes, deadline: float | None, read_seconds: float = math.inf, now: float | None = None
    ) -> None:
        self._scopes = scopes
        self._read_seconds = read_seconds
        self._expecting_since: float | None = None
        self._timed_out = False
        self.deadline = deadline
        self.cancelled_by: Reason | None = None
        self.phase = ""
        self.expected_at = now = scopes.loop.time() if now is None else now
        times_out_at = now + read_seconds
        self.rings_at = times_out_at if deadline is None or times_out_at < deadline else deadline

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._scopes.loop)
        if task is None:
            raise RuntimeError("arzamed_async must be awaited inside a task")
        self.task = task
        self._cancelling = task.cancelling()
        self._scopes.add(self)
        return self

    def _set_alarm(self, times_out_at: float) -> None:
        self.rings_at = times_out_at if self.deadline is None else min(self.deadline, times_out_at)

    def ring(self, now: float) -> None:
        """Cancel the work if it has to end now, and note when to check again."""
        if self.deadline is not None and now >= self.deadline:
            self.rings_at = math.inf
            self.cancel("deadline")
            return
        since = self._expecting_since
        if since is not None and now >= since + self._read_seconds:
            self._expecting_since = None
            self._timed_out = True
            self.task.cancel()
            since = None
        self._set_alarm((now if since is None else since) + self._read_seconds)

    def expect_bytes(self) -> None:
        """Start the read timeout: the task waits for the next byte from the server."""
        self._expecting_since = self.expected_at = self._scopes.loop.time()

    def got_bytes(self) -> None:
        """Stop the read timeout: the byte has arrived, or nothing waits for it any more."""
        self._expecting_since = None

    def read_timed_out(self) -> bool:
        """Return whether the CancelledError just caught was the read timeout, and withdraw that cancellation."""
        if not self._timed_out:
            return False
        self._timed_out = False
        # A cancellation from elsewhere at the same moment takes precedence.
        return self.task.uncancel() <= self._cancelling and self.cancelled_by is None

    def extend_by(self, seconds: float) -> None:
        """Move the deadline to this many seconds from now: the work has made progress."""
        if self.deadline is not None:
            self.deadline = self._scopes.loop.time() + seconds  # a timer that fires early is set again

    def set_phase(self, phase: str) -> None:
        """Record what the work waits for now; "" after that wait."""
        self.phase = phase

    @contextlib.contextmanager
    def suspended(self) -> Generator[None]:
        """Let no time of this block count towards the deadline."""
        loop, deadline = self._scopes.loop, self.deadline
        started = loop.time()
        self.deadline = None
        try:
            yield
        finally:
            if deadline is not None:
                self.deadline = deadline + loop.time() - started
                if self.cancelled_by is None:
                    self.rings_at = min(self.rings_at, self.deadline)
                    self._scopes.add(self)

    def cancel(self, reason: Reason) -> None:
        """Cancel the work."""
        if self.cancelled_by is None and asyncio.current_task(self._scopes.loop) is not self.task:
            self.cancelled_by = reason
            self.task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._scopes.open.discard(self)
        if self._timed_out:  # nothing has caught the read timeout: the work had just ended
            self._timed_out = False
            self.task.uncancel()
        if self.cancelled_by is None:
            return False
        if error is not None:
            self.phase = _joined(self.phase, vars(error).get(_PHASE, ""))
        ours_alone = self.task.uncancel() <= self._cancelling
        return ours_alone and kind is not None and issubclass(kind, asyncio.CancelledError)


def note_phase(error: asyncio.CancelledError, phase: str) -> None:
    """Let the outer scope, whose cancellation this may be, know what it has interrupted."""
    vars(error)[_PHASE] = _joined(phase, vars(error).get(_PHASE, ""))


def _joined(phase: str, inner: str) -> str:
    return f"{phase} ({inner})" if phase and inner else phase or inner


def current_task_or_none() -> asyncio.Task[Any] | None:
    """Return the running task, None outside of one: a finalizer may run anywhere."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


async def wait_for_end(tasks: set[asyncio.Task[Any]]) -> None:
    """Wait until all of these tasks have ended and left the set.

    If the caller is cancelled meanwhile, they are cancelled and still awaited; then its CancelledError is raised.
    """
    cancelled: asyncio.CancelledError | None = None
    while tasks:
        try:
            await asyncio.wait(tuple(tasks))
        except asyncio.CancelledError as error:
            if current_task_or_none() in tasks:
                raise  # it is one of them, and cannot wait for itself
            cancelled = error
            for task in tasks:
                task.cancel()
    if cancelled is not None:
        raise cancelled

"""One guard for a piece of work: it ends at a deadline, or when the session is closed; and it sees a server fall silent.

asyncio.timeout would do for the deadline, but then closing the session needs a second mechanism and
each call two of them. This is the same technique (cancel the task once, take the cancellation back on
the way out) for all of it, with one timer. A read that goes well only notes the time: the timer, when
it fires, sees whether there is anything to end, and else sets itself anew.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Literal, Self

__all__ = ["Scope"]

Reason = Literal["deadline", "closed"]


class Scope:
    """`with scope: ...` around awaits of one task; where `scope.ended` is set behind it, the work was cut short.

    `task` is the one inside; `deadline` is in loop time, None for none. `scopes` is the set of all that a session has open: its
    aclose ends each. The cancellation that ends the work never leaves the block, unless the task was
    cancelled from elsewhere as well. `read_seconds` bounds each wait between `listen` and `heard`.
    """

    __slots__ = (
        "_cancelling", "_listening_since", "_loop", "_read_seconds", "_scopes", "_silent", "_timer", "deadline",
        "ended", "task",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        scopes: set[Scope],
        deadline: float | None,
        read_seconds: float = math.inf,
    ) -> None:
        self._loop = loop
        self._scopes = scopes
        self._read_seconds = read_seconds
        self._listening_since: float | None = None
        self._silent = False
        self.deadline = deadline
        self.ended: Reason | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("arzamed_async must be awaited inside a task")
        self.task = task
        self._cancelling = task.cancelling()
        self._timer: asyncio.TimerHandle | None = None
        self._scopes.add(self)
        self._wind(self._loop.time() + self._read_seconds)
        return self

    def _wind(self, silent_at: float) -> None:
        at = silent_at if self.deadline is None else min(self.deadline, silent_at)
        if at != math.inf:
            self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        if self.deadline is not None and now >= self.deadline:
            self.end("deadline")
            return
        since = self._listening_since
        if since is not None and now >= since + self._read_seconds:
            self._listening_since = None
            self._silent = True
            self.task.cancel()
            since = None
        self._wind((now if since is None else since) + self._read_seconds)

    def listen(self) -> None:
        """Take note that from now on the server's next byte is waited for."""
        self._listening_since = self._loop.time()

    def heard(self) -> None:
        """Take note that it has come, or is waited for no more."""
        self._listening_since = None

    def silent(self) -> bool:
        """Tell whether the CancelledError just caught means that no byte came within read_seconds, and take it back."""
        if not self._silent:
            return False
        self._silent = False
        # Whoever else has cancelled the task in the same moment comes first.
        return self.task.uncancel() <= self._cancelling and self.ended is None

    def extend_by(self, seconds: float) -> None:
        """Set the deadline anew, so many seconds from now: what goes on inside has got further."""
        if self.deadline is not None:
            self.deadline = self._loop.time() + seconds  # a timer that comes too soon sets itself anew

    def end(self, reason: Reason) -> None:
        """Cut the work short."""
        if self.ended is None and asyncio.current_task(self._loop) is not self.task:
            self.ended = reason
            self.task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._scopes.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._silent:  # nobody has caught it: the work had just ended
            self._silent = False
            self.task.uncancel()
        if self.ended is None:
            return False
        ours_alone = self.task.uncancel() <= self._cancelling
        return ours_alone and kind is not None and issubclass(kind, asyncio.CancelledError)

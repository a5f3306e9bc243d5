"""One guard for a piece of work: it ends at a deadline, or when the session is closed.

asyncio.timeout would do for the deadline, but then closing the session needs a second mechanism and
each call two of them. This is the same technique (cancel the task once, take the cancellation back on
the way out) with both reasons.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal, Self

__all__ = ["Scope"]

Reason = Literal["deadline", "closed"]


class Scope:
    """`with scope: ...` around awaits of one task; where `scope.ended` is set behind it, the work was cut short.

    `deadline` is in loop time, None for none. `scopes` is the set of all that a session has open: its
    aclose ends each. The cancellation that ends the work never leaves the block, unless the task was
    cancelled from elsewhere as well.
    """

    __slots__ = ("_cancelling", "_loop", "_scopes", "_task", "_timer", "deadline", "ended")

    def __init__(self, loop: asyncio.AbstractEventLoop, scopes: set[Scope], deadline: float | None) -> None:
        self._loop = loop
        self._scopes = scopes
        self.deadline = deadline
        self.ended: Reason | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("arzamed_async must be awaited inside a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = None if self.deadline is None else self._loop.call_at(self.deadline, self.end, "deadline")
        self._scopes.add(self)
        return self

    def extend_by(self, seconds: float) -> None:
        """Set the deadline anew, so many seconds from now: what goes on inside has got further."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._loop.time() + seconds, self.end, "deadline")

    def end(self, reason: Reason) -> None:
        """Cut the work short."""
        if self.ended is None and asyncio.current_task(self._loop) is not self._task:
            self.ended = reason
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._scopes.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self.ended is None:
            return False
        ours_alone = self._task.uncancel() <= self._cancelling
        return ours_alone and kind is not None and issubclass(kind, asyncio.CancelledError)

"""The way of one request through pacing: its turn, and the outcome of what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from .clinic_scope import ClinicScope
from .pacing import Pacing

__all__ = ["THROTTLED", "Passage"]

E = TypeVar("E", bound=BaseException)

#: The statuses with which a server throttles.
THROTTLED = frozenset({429, 503})


class Passage:
    """Each turn is followed by `start` or `give_back`; each number that is started by `lost` or `responded`."""

    __slots__ = ("_cuts", "_has_turn", "_keep", "_pacing", "_scope", "_status", "repeats", "too_late", "waits")

    def __init__(self, pacing: Pacing, scope: ClinicScope, keep: Callable[[], object] | None = None) -> None:
        self._pacing = pacing
        self._scope = scope
        self._keep = keep  # called when a request was refused: the scope has something to remember
        self._status = 0  # of the refusal that the next request repeats
        self._has_turn = False
        self._cuts = 0  # of the origin's rate, when the turn was given
        self.repeats = False  # the last response was a refusal, and the request waits for another turn
        self.waits = False  # for a turn; still so if the call is cancelled meanwhile
        self.too_late: BaseException | None = None  # what a caller raises where a turn would have come too late

    async def turn(self, deadline: float | None) -> bool:
        """Wait for the turn, if there is a pace. Returns False, and raises NoTurnError, as Pacing.turn does."""
        if self._has_turn or not self._pacing.origin.active:
            return True
        status, self._status = self._status, 0  # a call that leaves the queue is a first try when it comes back
        self.waits = True
        self._has_turn = await self._pacing.turn(self._scope, deadline, status)
        self.waits = False
        self._cuts = self._pacing.origin.cuts
        return self._has_turn

    def needs_turn(self) -> bool:
        """Return whether a request that has waited for a slot needs a turn: it has none, or the rate was cut since."""
        if not self._pacing.origin.active or (self._has_turn and self._cuts == self._pacing.origin.cuts):
            return False
        if self._has_turn:
            self._has_turn = False
            self._pacing.void()
        return True

    async def start(self) -> int:
        """Return the number of the request that is sent now. A known limit may require another wait before."""
        if not self._has_turn:
            return self._pacing.origin.start(self._scope)
        await self._pacing.spaced()
        self._has_turn = False
        return self._pacing.origin.start_in_turn(self._scope)

    def give_back(self) -> None:
        """The request is not sent: its turn, if it has one, is the next one's."""
        if self._has_turn:
            self._has_turn = False
            self._pacing.give_back(self._scope)

    def leave(self, error: E) -> E:
        """Remember, and return, what is raised since a turn would have come too late."""
        self.too_late = error
        return error

    def lost(self, number: int) -> None:
        """The request has ended without a response."""
        self._pacing.origin.lost(self._scope, number)

    def responded(self, number: int, status: int, retry_after_seconds: float | None) -> None:
        """A response has arrived. See `repeats`."""
        now = asyncio.get_running_loop().time()
        self.repeats = False
        if status in THROTTLED:
            if self._keep is not None:
                self._keep()
            self.repeats = self._pacing.refused(self._scope, number, status, retry_after_seconds, now)
        elif status < 400:
            self._pacing.accepted(self._scope, number, now)
        else:
            self._pacing.origin.lost(self._scope, number)  # not throttled, but no sign of life
        self._status = status if self.repeats else 0

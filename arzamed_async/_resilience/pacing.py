"""The queue of one origin on an event loop: a call waits here for its turn, and holds nothing meanwhile.

All times are the loop's: a clock that a test injects must not govern who waits.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Literal

from .._counted import counted
from .clinic_scope import ClinicScope
from .origin_scope import OriginScope
from .pace import KnownRate
from .turns import Turns, Waiter

__all__ = ["NoTurnError", "Pacing"]

#: How often the queue looks whether there is room in flight, where no end of a request makes it look.
LOOK_AGAIN_SECONDS = 0.1


class NoTurnError(Exception):
    """There is no turn for this call before its deadline. `scope` is "clinic" or "origin"."""

    def __init__(
        self, scope: Literal["clinic", "origin"], requests_per_second: float | None, waiting: int, seconds: float
    ) -> None:
        super().__init__(_no_turn(scope, requests_per_second, waiting, seconds))
        self.scope: Literal["clinic", "origin"] = scope
        self.requests_per_second = requests_per_second
        self.waiting = waiting
        self.seconds = seconds  # until its turn, or until the scope opens again


def _no_turn(scope: str, requests_per_second: float | None, waiting: int, seconds: float) -> str:
    if not requests_per_second:
        return f"the server requires a pause of this {scope}, which ends in {seconds:.0f} s"
    return f"{_queue(scope, requests_per_second, waiting)}, and the turn would come in {seconds:.1f} s"


def _queue(scope: str, requests_per_second: float, waiting: int) -> str:
    rate = counted(requests_per_second, "request", form=".3g")
    return (
        f"the {scope} is paced at {rate} a second, {counted(waiting, 'request')} {'waits' if waiting == 1 else 'wait'}"
    )


class Pacing:
    """The turns at one origin."""

    __slots__ = ("__weakref__", "_on_wire", "_timer", "_wire", "origin", "turns")

    def __init__(self, origin: OriginScope, lots: random.Random | None = None) -> None:
        self.origin = origin
        self.turns = Turns() if lots is None else Turns(lots.random)
        self._timer: asyncio.TimerHandle | None = None
        self._wire = None if origin.known is None else KnownRate(origin.known.rate)
        self._on_wire = asyncio.Lock()

    async def turn(self, clinic: ClinicScope, deadline: float | None, refused_status: int = 0) -> bool:
        """Wait for this clinic's turn; `refused_status` if the request repeats a refused one.

        Returns False where the server shows no sign of life: then the refusal is left to the retry loop.
        Raises NoTurnError if the turn would come too late.
        """
        origin = self.origin
        loop = asyncio.get_running_loop()
        now = loop.time()
        repeat = refused_status != 0
        self._check(clinic, now, deadline, repeat=repeat)
        if (
            not repeat
            and not origin.waiting
            and max(origin.ready_at(), clinic.ready_at()) <= now
            and not origin.full(now)
        ):
            origin.take(clinic, now)
            return True
        turn: asyncio.Future[bool] = loop.create_future()
        waiter = Waiter(clinic, turn, refused_status)
        self.turns.add(waiter, repeat=repeat)
        origin.join_queue(clinic, repeat=repeat)
        self._hand_out()
        try:
            return await turn
        except BaseException:
            if self.turns.remove(waiter):
                self._gone(waiter)
            elif turn.done() and not turn.cancelled() and turn.result():
                self.give_back(clinic)  # its turn had come in the very tick in which it was cancelled
            raise

    def give_back(self, clinic: ClinicScope) -> None:
        """A turn was not used: it is the next one's."""
        self.origin.give_back(clinic)
        self._hand_out()

    def void(self) -> None:
        """A turn was given before the rate was cut, and is not used: nothing may follow at once."""
        pace, levels = self.origin.pace, self.origin.levels
        if pace is not None and levels is not None:
            levels.give_back()
            pace.void()

    def refused(
        self, clinic: ClinicScope, sent: int, status: int, retry_after_seconds: float | None, now: float
    ) -> bool:
        """Return whether a refused request may wait for a turn and be repeated; else it is left to the retry loop."""
        before = self.origin.pace
        again = self.origin.refused(clinic, sent, status, retry_after_seconds, now)
        if self.origin.pace is not before:
            self.turns.wake()  # clinics were given back what was blamed on them
        return again

    def accepted(self, clinic: ClinicScope, sent: int, now: float) -> None:
        """A response that is not a refusal has arrived."""
        self.origin.accepted(clinic, sent, now)
        if self.origin.levels is not None and self.origin.levels.cap is not None and self.origin.waiting:
            self._hand_out()

    def crowded(self) -> bool:
        """Return whether more than a second of work waits, apart from that of clinics with a pace of their own."""
        rate, origin = self.rate(), self.origin
        if rate is None or origin.waiting <= max(1.0, rate):
            return False
        return origin.waiting - sum(clinic.waiting for clinic in origin.paced) > max(1.0, rate)

    def rate(self) -> float | None:
        """Return the requests a second that the origin is sent at most; None if it is not paced."""
        rates = [each.rate for each in (self.origin.known, self.origin.pace) if each is not None]
        return min(rates, default=None)

    async def spaced(self) -> None:
        """Keep a known limit on the wire as well: calls that have had their turn may all wait for a connection."""
        wire = self._wire
        if wire is None:
            return
        loop = asyncio.get_running_loop()
        async with self._on_wire:  # one after the other: after the loop was held, none catches up
            if (seconds := wire.ready_at - loop.time()) > 0:
                await asyncio.sleep(seconds)
            wire.take(loop.time(), late=True)

    def queue(self, clinic: ClinicScope) -> str:
        """Return what the calls of this clinic wait for."""
        if clinic.pace is not None:
            return _queue("clinic", clinic.pace.rate, clinic.waiting)
        rate = self.rate()
        return "it waited for its turn" if rate is None else _queue("origin", rate, self.origin.waiting)

    def limited(self, clinic: ClinicScope) -> Literal["clinic", "origin"]:
        """Return whose limit a refusal of this clinic meets, as far as is known."""
        own = clinic.pace is not None or self.origin.pace is None
        return "clinic" if own else "origin"

    def leave_loop(self) -> None:
        """Forget the calls that waited on an event loop that has gone, and the requests under way there."""
        self.turns.clear()
        self.origin.leave_loop()
        if self.origin.levels is not None:
            self.origin.levels.leave_loop()
        self._timer = None
        self._on_wire = asyncio.Lock()

    def _check(self, clinic: ClinicScope, now: float, deadline: float | None, *, repeat: bool) -> None:
        """Raise NoTurnError if this call cannot have its turn in time."""
        origin = self.origin
        if clinic.shut_until > now:
            raise NoTurnError("clinic", 0.0, clinic.waiting, clinic.shut_until - now)
        if origin.shut_until > now:
            raise NoTurnError("origin", 0.0, origin.waiting, origin.shut_until - now)
        if deadline is None:
            return
        if clinic.paused_until >= deadline:
            raise NoTurnError("clinic", 0.0, clinic.waiting, clinic.paused_until - now)
        if (pace := clinic.pace) is not None and now + (seconds := pace.seconds_until(clinic.waiting, now)) >= deadline:
            raise NoTurnError("clinic", pace.rate, clinic.waiting, seconds)
        ahead = self.turns.ahead(clinic, repeat=repeat)
        for limit in (origin.known, origin.pace):
            if limit is not None and now + (seconds := limit.seconds_until(ahead, now)) >= deadline:
                raise NoTurnError("origin", limit.rate, ahead, seconds)

    def _hand_out(self, *, late: bool = False) -> None:
        """Give turns to the calls that may send now, and look again when the next one may."""
        origin = self.origin
        now = asyncio.get_running_loop().time()
        look_at: float | None = None
        while origin.waiting:
            if origin.full(now):
                look_at = now + LOOK_AGAIN_SECONDS  # one that ends looks sooner
                break
            if (ready := origin.ready_at()) > now:
                look_at = ready
                break
            popped = self.turns.pop(now)
            if popped is None:
                look_at = self.turns.next_at()
                break
            waiter, repeat = popped
            if waiter.turn.done():
                self._gone(waiter)
                continue
            fate = origin.fate(waiter.clinic, waiter.status, now) if repeat else "go"
            if fate == "hold":
                self.turns.add(waiter, repeat=True)
                continue
            self._gone(waiter)
            if fate == "go":
                origin.take(waiter.clinic, now, late=late)
            waiter.turn.set_result(fate == "go")
        self._look_at(look_at)

    def _gone(self, waiter: Waiter) -> None:
        self.origin.leave_queue(waiter.clinic, repeat=waiter.status != 0)

    def _look_at(self, moment: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if moment is not None:
            self._timer = asyncio.get_running_loop().call_at(moment, partial(self._hand_out, late=True))

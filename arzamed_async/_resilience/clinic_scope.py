"""What is known of one clinic at an origin, and the pace of a clinic that has a limit of its own."""

from __future__ import annotations

import math
from typing import Literal

from .pace import Pace

__all__ = [
    "HOLD_SECONDS",
    "HOLD_TIMES",
    "NEVER",
    "REST_SECONDS",
    "ClinicScope",
    "Fate",
    "Life",
    "life_seconds",
]

#: A moment before all others; one object, since there are many clinics.
NEVER = -math.inf
Fate = Literal["go", "hold", "leave"]

#: For this long after the last response that was not a refusal, repeats still wait: windows of a minute are usual
#: with 429.
LIFE_SECONDS = {429: 65.0}
SHORT_LIFE_SECONDS = 10.0
#: Refusals overtake responses that are under way: while no sign of life is known, they wait for one, this long and this often.
HOLD_SECONDS = 0.025
HOLD_TIMES = 10
#: A pace is forgotten this long after the last refusal.
REST_SECONDS = 30.0
#: Bare 503s (no Retry-After) of one clinic, less half of its responses between, that are more than noise.
HEAT = 6.0
COOLING = 0.5
#: While it is paced, fewer count, and one in ten is still noise.
HEAT_PACED = 2.0
COOLING_PACED = 0.1


def life_seconds(status: int, *, short: bool = False) -> float:
    """Return how long repeats wait for a server that only refuses."""
    return SHORT_LIFE_SECONDS if short else LIFE_SECONDS.get(status, SHORT_LIFE_SECONDS)


class Life:
    """When a request was let through last. A call sets the cell itself: where nobody is refused, a method costs too much."""

    __slots__ = ("life",)

    def __init__(self) -> None:
        self.life = [NEVER]

    @property
    def alive_at(self) -> float:
        """The moment of the last response that was not a refusal; while nobody is refused, of its request."""
        return self.life[0]


class ClinicScope(Life):
    """One clinic at an origin. `pace` is there while it has a limit of its own."""

    __slots__ = (
        "_counted", "doubted", "evidence", "heat", "holds", "last_refused", "last_refused_at", "name", "pace",
        "paused_until", "sent", "shut_until", "suspect", "waiting",
    )  # fmt: skip

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name
        self.sent = 0
        self._counted = 0  # of the requests that have ended, those that have cooled it
        self.waiting = 0
        self.pace: Pace | None = None
        self.shut_until = NEVER
        self.paused_until = NEVER  # its calls wait
        self.holds = 0
        self.heat = 0.0
        self.last_refused = 0  # the newest request when its last refusal was seen
        self.last_refused_at = NEVER
        # While the origin is paced:
        self.doubted = 0  # a refused request that no scope has been blamed for; negative: a bare 503
        self.evidence = 0.0  # that it is this clinic which is refused
        self.suspect = False  # enough of it: its refusals are its own

    def join_queue(self) -> None:
        """A call of this clinic waits for its turn."""
        self.waiting += 1

    def leave_queue(self) -> None:
        """It waits no longer."""
        self.waiting -= 1

    def ready_at(self) -> float:
        """Return the moment of its next request."""
        return self.paused_until if self.pace is None else max(self.paused_until, self.pace.ready_at())

    def fate(self, life: float, now: float, *, in_flight: bool) -> Fate:
        """Return the fate of a repeat: without a sign of life it waits for one, or leaves."""
        if self.pace is None or now - self.alive_at <= life:
            return "go"
        if not in_flight or self.holds >= HOLD_TIMES:
            return "leave"
        self.holds += 1
        self.pace.close(now, HOLD_SECONDS)
        return "hold"

    def cool(self) -> None:
        """A request has ended otherwise than with a refusal."""
        self.heat = max(0.0, self.heat - (COOLING if self.pace is None else COOLING_PACED))

    def accepted(self, now: float, sent: int, newest: int) -> None:
        """A response that is not a refusal has arrived."""
        self.holds = 0
        self.cool()
        if self.pace is not None:
            self.pace.accepted(now, sent, newest, waiting=self.waiting > 0)

    def cool_unpaced(self, in_flight: int) -> None:
        """Do what `cool` would have done for each request that has ended, but for the one refused now."""
        ended = self.sent - in_flight
        self.heat = max(0.0, self.heat - COOLING * (ended - self._counted - 1))
        self._counted = ended

    def refused(
        self, sent: int, newest: int, status: int, retry_after_seconds: float | None, now: float, *, in_flight: bool
    ) -> tuple[bool, bool]:
        """A refusal of its own, with more requests `in_flight` or not.

        Returns whether it may be repeated, and whether the pace has changed.
        """
        alive = now - self.alive_at <= life_seconds(status) or in_flight
        changed = False
        bare = status == 503 and retry_after_seconds is None
        self.heat += bare and in_flight  # one request at a time is retried, and runs into no limit
        if self.pace is None:
            if (bare and self.heat < HEAT) or (not alive and retry_after_seconds is None):
                return False, False
            self.pace = Pace(now, newest)
            self.holds, changed = 0, True
        else:
            self.pace.refused(now, sent)
            changed = (not bare or self.heat >= HEAT_PACED) and self.pace.cut(now, sent, newest)
        if retry_after_seconds is not None:
            self.pace.close(now, retry_after_seconds)
        return alive, changed

    def refused_before(self, moment: float) -> bool:
        """Return whether nothing of it waits, and its last refusal is older than this."""
        refused_at = self.last_refused_at if self.pace is None else self.pace.last_refused_at
        return not self.waiting and refused_at <= moment

    def remembers(self, now: float) -> bool:
        """Return whether there is a pace, or a pause, that its next request has to keep; or one waits."""
        return self.pace is not None or max(self.shut_until, self.paused_until) > now or self.waiting > 0

    def note_refusal(self, newest: int, now: float, pause_seconds: float | None = None) -> None:
        """Remember when it was refused last, and the newest request at that time; its calls wait for the pause."""
        self.last_refused, self.last_refused_at = newest, now
        if pause_seconds is not None:
            self.paused_until = max(self.paused_until, now + pause_seconds)

    def shut(self, until: float) -> None:
        """Send no request before this moment; NEVER opens it again."""
        self.shut_until = until

    # The evidence against it, while its origin is paced.

    def doubt(self, sent: int) -> None:
        """It is not known whose limit refused this request; negative: with a bare 503."""
        self.doubted = sent

    def suspected(self, evidence: float, enough: float) -> bool:
        """Add to the evidence; return whether that is enough to make this clinic a suspect."""
        self.evidence += evidence
        if self.evidence < enough:
            return False
        self.evidence, self.doubted, self.suspect = 0.0, 0, True
        return True

    def cleared(self) -> int:
        """It was let through. Returns the request that was in doubt, 0 without one."""
        doubted, self.doubted = self.doubted, 0
        self.evidence, self.suspect = 0.0, False
        return doubted

    def leave_loop(self) -> None:
        """Nothing waits and nothing is under way on a new event loop."""
        self.waiting = 0

    def forget(self) -> None:
        """Forget the pace."""
        self.pace = None
        self.paused_until = NEVER
        self.heat = self.evidence = 0.0
        self.suspect = False

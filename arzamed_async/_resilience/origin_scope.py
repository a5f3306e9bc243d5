"""The scopes of one origin: its own pace, and each clinic's. Times and outcomes in, verdicts out; nothing awaits."""

from __future__ import annotations

import math

from .attribution import FRESH_SECONDS, HEAVY_ROW, LIGHT_ROW, Attribution
from .clinic_scope import HOLD_SECONDS, HOLD_TIMES, NEVER, REST_SECONDS, ClinicScope, Fate, Life, life_seconds
from .in_flight import InFlight
from .pace import LONGEST_PAUSE_SECONDS, KnownRate, Pace
from .paced_scopes import Changed, PacedScopes

__all__ = ["OriginScope"]

#: One refusal among fewer requests in flight than this, while no response is known, is a failure, not a limit.
FEW = 8


class OriginScope(Life):
    """The pace of an origin and of the clinics at it.

    While no request is refused, `active` is False. Then a call does what `accepted` does itself: that costs less than
    a method. Without `learns` nothing is ever active; without `shuts_clinics` a clinic's long pause is the caller's concern.
    """

    def __init__(
        self,
        *,
        learns: bool = True,
        shuts_clinics: bool = True,
        known_rate: float | None = None,
        max_retry_after_seconds: float = 20.0,
        changed: Changed = lambda clinic, rate, why: None,
    ) -> None:
        super().__init__()
        self.active = known_rate is not None
        self.shut_until = NEVER
        self.open: dict[int, ClinicScope] = {}  # the requests in flight, as they were sent
        self.sent = 0  # the newest number
        self.cuts = 0  # a turn that was given before the last of them is void
        self.waiting = self.repeating = 0  # repeats wait as well
        self.pace: Pace | None = None
        self.levels: InFlight | None = None
        self.paced = PacedScopes(changed)
        self.known = None if known_rate is None else KnownRate(known_rate)
        self._learns, self._shuts_clinics = learns, shuts_clinics
        self._max_retry_after_seconds, self._changed = max_retry_after_seconds, changed
        self._evidence = Attribution()
        self._dead_at = math.nan  # the sign of life after which an outage was found
        self._refused_at = NEVER
        self._turn_at = 0.0
        self._holds = 0
        self._held_until = NEVER

    # The queue.

    def join_queue(self, clinic: ClinicScope, *, repeat: bool) -> None:
        """A call waits for its turn; `repeat` if its request was refused before."""
        self.waiting += 1
        self.repeating += repeat
        clinic.join_queue()

    def leave_queue(self, clinic: ClinicScope, *, repeat: bool) -> None:
        """It waits no longer."""
        self.waiting -= 1
        self.repeating -= repeat
        clinic.leave_queue()

    def leave_loop(self) -> None:
        """Nothing waits on a new event loop; a request of the old one is lost when its task is."""
        self.waiting = self.repeating = 0

    # Before a request.

    def ready_at(self) -> float:
        """Return the moment of the next request to the origin."""
        ready = self._held_until if self.known is None else max(self.known.ready_at, self._held_until)
        return ready if self.pace is None else max(ready, self.pace.ready_at())

    def full(self, now: float) -> bool:
        """Return whether a turn has to wait for a request in flight to end."""
        return self.levels is not None and self.levels.full(now)

    def fate(self, clinic: ClinicScope, status: int, now: float) -> Fate:
        """Return the fate of a repeat whose turn has come: without a sign of life it waits for one, or leaves."""
        short = self._evidence.short_lived(clinic)
        life = life_seconds(status, short=short)
        if now - self.alive_at <= life:
            return clinic.fate(life, now, in_flight=clinic in self.open.values())
        if self._dead_at != self.alive_at and self.open and self._holds < HOLD_TIMES:
            self._holds += 1
            self._held_until = now + HOLD_SECONDS
            return "hold"
        if not short:
            self._lifeless()
        return "leave"

    def take(self, clinic: ClinicScope, now: float, *, late: bool = False) -> None:
        """It is this clinic's turn; `late` if a timer may have been late."""
        self._turn_at = now
        if self.known is not None:
            self.known.take(now, late=late)
        if self.levels is not None:
            self.levels.take()
        if self.pace is not None:
            self.pace.take(now, waiting=self.waiting > 0 and not self.full(now), late=late)
        if clinic.pace is not None:
            clinic.pace.take(now, waiting=clinic.waiting > 0, late=late)

    def give_back(self, clinic: ClinicScope) -> None:
        """A turn was not used: the next may follow at once."""
        if self.levels is not None:
            self.levels.give_back()
        if self.pace is not None:
            self.pace.give_back()
        if clinic.pace is not None:
            clinic.pace.give_back()

    def start(self, clinic: ClinicScope) -> int:
        """Return the number of a request that is sent now."""
        clinic.sent += 1
        self.sent = sent = self.sent + 1
        self.open[sent] = clinic
        return sent

    def start_in_turn(self, clinic: ClinicScope) -> int:
        """Do what `start` does, for a request that has had its turn."""
        sent = self.start(clinic)
        if self.levels is not None:
            self.levels.start(sent, self._turn_at)
        return sent

    # After it.

    def lost(self, clinic: ClinicScope, sent: int) -> None:
        """A request has ended without a response."""
        self.open.pop(sent, None)
        if clinic.heat and self.active:
            clinic.cool()
        if self.levels is not None:
            self.levels.ended(sent)

    def accepted(self, clinic: ClinicScope, sent: int, now: float) -> None:
        """A response that is not a refusal has arrived."""
        self.open.pop(sent, None)
        if not self.active:
            self.life[0] = clinic.life[0] = now
            return
        first_try = clinic.last_refused_at <= clinic.alive_at
        self.life[0] = clinic.life[0] = now
        self._holds = 0
        self._held_until = NEVER
        blamed = self._evidence.accepted(clinic, first_try=first_try)
        if self.pace is not None and self.levels is not None:
            if blamed:
                self._cut(self.pace, now, blamed, "a refused request was accepted later")
            self.levels.accepted(sent, now)
            self.pace.accepted(now, sent, self.sent, waiting=self.waiting > 0 and not self.full(now))
        clinic.accepted(now, sent, self.sent)
        self._rest(now)

    def refused(
        self, clinic: ClinicScope, sent: int, status: int, retry_after_seconds: float | None, now: float
    ) -> bool:
        """Return whether the request may wait for a turn and be repeated; else it is left to the retry loop."""
        self.open.pop(sent, None)
        if not self._learns:
            return False
        self.paced.sweep(now)
        if not self.active:
            clinic.cool_unpaced(list(self.open.values()).count(clinic))
        level = self.levels.ended(sent) if self.levels is not None else None
        if now - self._refused_at >= FRESH_SECONDS:
            self._evidence.begin_spell(min([sent, *self.open]))
        self._refused_at = now
        row = self._evidence.row(clinic, sent, now, paced=self.pace is not None)
        if retry_after_seconds is not None and retry_after_seconds > self._max_retry_after_seconds:
            if status == 429:
                self._shut(clinic, now, retry_after_seconds, row)
            return False
        lifeless = now - self.alive_at > life_seconds(status, short=self._evidence.short_lived(clinic))
        bare = status == 503 and retry_after_seconds is None
        single = row < 2 and len(self.open) < FEW and (bare or clinic not in self.open.values())
        if lifeless and (self._dead_at == self.alive_at or not self.open or single):
            clinic.note_refusal(self.sent, now)
            return False
        pace = self._blamed(row, now, bare=bare)
        own = pace is None or clinic.pace is not None or self._evidence.suspected(clinic, sent, self.alive_at)
        if not own and pace is not None:
            pace.refused(now, sent)
            if level is None or self.levels is None or not self.levels.refused(level, now, pace):
                self._refused_by_origin(pace, clinic, sent, now, row, bare, retry_after_seconds)
        if not own:
            clinic.note_refusal(self.sent, now)
            return True
        self.active = self.active or lifeless  # the responses under way decide
        return self._refused_by_clinic(clinic, sent, now, status, retry_after_seconds) or lifeless

    # The origin's refusals.

    def _blamed(self, row: float, now: float, *, bare: bool) -> Pace | None:
        """Return the origin's pace; it has one from now on if the row is heavy, or most of a few clinics are refused."""
        if self.pace is None and (row >= HEAVY_ROW or (not bare and self._evidence.mostly(row, self.sent))):
            self.pace = Pace(now, self.sent)
            self.levels = InFlight(now)
            self.active = True
            self.cuts += 1
            self._evidence.begin(self.sent)
            self.paced.give_back(now)
            self._changed(None, self.pace.rate, "requests of several clinics were refused")
        return self.pace

    def _refused_by_origin(
        self, pace: Pace, clinic: ClinicScope, sent: int, now: float, row: float, bare: bool, pause: float | None
    ) -> None:
        if pause is not None and self._believed(clinic, pause, row):
            self._cut(pace, now, sent, "the server requires a pause")
            pace.close(now, pause)
        elif row >= LIGHT_ROW or (pace.only_refuses() and not self.open and self.waiting <= self.repeating):
            self._cut(pace, now, sent, "requests were refused in a row", row=True)
        elif self._evidence.trusts(sent, bare=bare) and pace.plausible():
            self._cut(pace, now, sent, "a request was refused")
        else:
            clinic.doubt(-sent if bare else sent)

    def _believed(self, clinic: ClinicScope, seconds: float, row: float) -> bool:
        refuses = self.pace is not None and self.pace.only_refuses()
        return self._evidence.believes(clinic, seconds, row, self.alive_at, only_refuses=refuses)

    def _cut(self, pace: Pace, now: float, sent: int, why: str, *, row: bool = False) -> None:
        if pace.cut(now, sent, self.sent, row=row):
            self.cuts += 1
            self._evidence.rows.clear()
            self._changed(None, pace.rate, why)

    def _shut(self, clinic: ClinicScope, now: float, seconds: float, row: float) -> None:
        if self._believed(clinic, seconds, row):
            self.shut_until = now + (seconds if self._shuts_clinics else min(seconds, LONGEST_PAUSE_SECONDS))
            self.active = True
            self._changed(None, 0.0, "the server requires a long pause")
        if not self._shuts_clinics:
            return
        clinic.shut(now + seconds)
        clinic.note_refusal(self.sent, now)
        self.paced.add(clinic)
        self.active = True
        self._changed(clinic, 0.0, "the server requires a long pause")

    # A clinic's.

    def _refused_by_clinic(
        self, clinic: ClinicScope, sent: int, now: float, status: int, retry_after_seconds: float | None
    ) -> bool:
        if self.known is not None and self.pace is None and clinic.pace is None:
            met = self._evidence.met_known_limit(clinic, sent, self.alive_at, self.open.values())
            if met is not None:
                clinic.note_refusal(self.sent, now, retry_after_seconds if met else None)
                return met
        others = clinic in self.open.values()
        clinic.note_refusal(self.sent, now)
        again, changed = clinic.refused(sent, self.sent, status, retry_after_seconds, now, in_flight=others)
        if clinic.pace is not None:
            self.paced.add(clinic)
            self.active = True
            if changed:
                self._changed(clinic, clinic.pace.rate, "requests of this clinic were refused")
        return again

    def forget(self, clinic: ClinicScope) -> None:
        """Forget a clinic's pace, and open it if it is shut."""
        clinic.shut(NEVER)
        self.paced.forget(clinic, "forgotten")

    # The end of a pace.

    def _lifeless(self) -> None:
        """An outage: pacing does not help, the retry budget decides."""
        self._dead_at = self.alive_at
        self._holds = 0
        self._evidence.rows.clear()
        self._end("the server only refuses")

    def _end(self, why: str) -> None:
        if self.pace is not None:
            self.pace = self.levels = None
            self._changed(None, None, why)

    def _rest(self, now: float) -> None:
        if self.pace is not None and not self.waiting and now - self.pace.last_refused_at >= REST_SECONDS:
            self._end("no request was refused lately")
        self.paced.sweep(now)
        self.active = bool(self.known or self.pace or self.paced or self.waiting or self.shut_until > now)

    def rested(self, now: float) -> bool:
        """End what is over; return whether nothing is left to remember, and nothing is under way."""
        self._rest(now)
        return not (self.active or self.open)

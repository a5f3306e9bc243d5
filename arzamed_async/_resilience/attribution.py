"""Whose limit is it: the clinic's or the origin's? Refusals in, evidence out.

Requests are numbered as they are sent. Refusals arrive earlier than successes, but in the order of sending a limit of
the origin shows as a row: nearly all requests after a certain one are refused, of whatever clinics. Where one clinic in
ten has a limit of its own that is used up, rows of several distinct clinics are rare.

While the origin is paced, a refused clinic is in doubt: if its repeat is accepted, the refusal was the origin's; if it
is refused again and again while others are let through, it becomes a suspect, and its refusals are its own.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable

from .clinic_scope import NEVER, ClinicScope

__all__ = ["HEAVY_ROW", "LIGHT_ROW", "Attribution", "Rows"]

#: A row as heavy as this is the origin's limit; a lighter one, where the origin is paced already.
HEAVY_ROW = 6.0
LIGHT_ROW = 3.0
#: The least row that is the origin's limit where most of the requests sent meanwhile are refused: there may be few clinics.
MOSTLY_ROW = 2.0
#: What a request sent between two refusals, and not refused, takes from a row.
LET_THROUGH = 0.5
#: The number of clinics that are known to have a refusal among the rows.
MOST_ENTERED = 1024
#: The number of refusals that are looked at.
KEPT = 48
#: An origin obeys one clinic's Retry-After up to this; a longer one has to come from several clinics.
BELIEVED_SECONDS = 2.0
#: A clinic refused again within this time counts once.
FRESH_SECONDS = 10.0
#: Refusals of one clinic that chance explains with a probability of one in 200 make it a suspect; fewer, where there
#: are several suspects, and the next is likely to be one as well.
SUSPECT = math.log(200)
SUSPECT_AMONG_MANY = SUSPECT / 1.5
MANY = 3
LEAST_SHARE = 0.05
#: Before this number of requests since refusals began no clinic is a suspect: where there are few clinics, chance refuses one again and again.
YOUNG = 48
#: The weight of one first try in the share of those refused.
SHARE_WEIGHT = 0.04
#: After this number of requests, clinics that are at fault have shown themselves.
TRUSTED_AFTER = 25
#: Bare 503s (no Retry-After) whose repeats are accepted are noise up to this share.
NOISE_SHARE = 0.012


class Rows:
    """The rows of refusals, in the order of sending."""

    __slots__ = ("_entered", "_refusals")

    def __init__(self) -> None:
        self._entered: dict[ClinicScope, None] = {}  # a set that keeps their order
        self._refusals: list[tuple[int, bool]] = []

    def enter(self, clinic: ClinicScope) -> bool:
        """Return whether this clinic has a refusal among the rows already."""
        entered = clinic in self._entered
        self._entered[clinic] = None
        if len(self._entered) > MOST_ENTERED:
            del self._entered[next(iter(self._entered))]
        return entered

    def refused(self, sent: int, *, fresh: bool) -> float:
        """Return the weight of the heaviest row: refused clinics, less half of the requests let through between.

        A further refusal of the same clinic is not `fresh`, and counts for nothing.
        """
        refusals = self._refusals
        insort(refusals, (sent, fresh))
        del refusals[:-KEPT]
        weight = heaviest = 0.0
        before = refusals[0][0]
        for number, counts in refusals:
            weight = max(0.0, weight - LET_THROUGH * max(0, number - before - 1)) + counts
            heaviest = max(heaviest, weight)
            before = number
        return heaviest

    def clear(self) -> None:
        """Drop these refusals: they have had their effect."""
        self._refusals.clear()
        self._entered.clear()


class Attribution:
    """The evidence at one origin."""

    __slots__ = ("_claim", "_noise", "_share", "_spell_from", "_suspects", "_trusted_from", "rows")

    def __init__(self) -> None:
        self.rows = Rows()
        self._share = 0.0  # of first tries, how many are refused
        self._noise = 1.0  # the bare 503s that may still be noise
        self._suspects = 0
        self._trusted_from = 0
        self._spell_from = 0  # the first request of those among which there are refusals lately
        self._claim: tuple[ClinicScope | None, float] = None, 0.0  # the last long Retry-After, and `alive_at` then

    def begin(self, newest: int) -> None:
        """The origin is paced from now on."""
        self.rows.clear()
        self._suspects = 0
        self._trusted_from = newest + TRUSTED_AFTER

    def trusts(self, sent: int, *, bare: bool) -> bool:
        """Return whether a refusal may be taken for the origin's at once: no clinic is at fault, and it is not noise."""
        return not self._suspects and sent > self._trusted_from and not (bare and self._noise >= 1.0)

    def short_lived(self, clinic: ClinicScope) -> bool:
        """Return whether a clinic that was never served is likely to be at fault, too."""
        return self._suspects >= MANY and clinic.alive_at == NEVER

    def row(self, clinic: ClinicScope, sent: int, now: float, *, paced: bool) -> float:
        """Take a refusal into the rows. Returns the weight of the heaviest."""
        if clinic.last_refused_at <= clinic.alive_at:
            self._share += SHARE_WEIGHT * (1 - self._share)
        counted = self.rows.enter(clinic)
        if not paced and now - clinic.last_refused_at >= FRESH_SECONDS:
            counted = False
        return self.rows.refused(sent, fresh=not (counted or clinic.suspect or clinic.evidence))

    def begin_spell(self, first: int) -> None:
        """A refusal has arrived, and it is the first one in a while. `first` is the oldest request that was in flight."""
        self._spell_from = first

    def mostly(self, row: float, newest: int) -> bool:
        """Return whether a row is the origin's limit although it is light: most of what was sent lately is refused."""
        return row >= MOSTLY_ROW and row > (newest - self._spell_from + 1) / 2

    def suspected(self, clinic: ClinicScope, sent: int, alive_at: float) -> bool:
        """Return whether it is this clinic that is refused. `alive_at` is when the origin let a request through last."""
        if clinic.suspect:
            return True
        evidence = 0.0
        if (
            sent - self._spell_from >= YOUNG
            and sent > clinic.last_refused > 0
            and alive_at > max(clinic.last_refused_at, clinic.alive_at)
        ):
            evidence = -math.log(min(1.0, max(self._share, LEAST_SHARE)))
        suspected = clinic.suspected(evidence, SUSPECT if self._suspects < MANY else SUSPECT_AMONG_MANY)
        self._suspects += suspected
        return suspected

    def met_known_limit(
        self, clinic: ClinicScope, sent: int, alive_at: float, in_flight: Iterable[ClinicScope]
    ) -> bool | None:
        """Return whether a refusal is of the kind that no known limit avoids, and may be repeated in its turn at no cost.

        Requests arrive closer together than they are sent, so a server without a burst refuses some. Others are let through
        between two such refusals of a clinic; else it is left to retries (False), or it is another limit (None), as if too
        many are of one clinic.
        """
        if self.suspected(clinic, sent, alive_at):
            return None
        if clinic.last_refused_at >= alive_at:
            return None if clinic.alive_at > NEVER or clinic in in_flight else False
        clinic.doubt(sent)
        return True

    def believes(self, clinic: ClinicScope, seconds: float, row: float, alive_at: float, *, only_refuses: bool) -> bool:
        """Return whether a Retry-After is the origin's: a short one, or one that several clinics got, and none served."""
        if seconds <= BELIEVED_SECONDS or row >= HEAVY_ROW:
            return True
        other, life = self._claim
        self._claim = clinic, alive_at
        return only_refuses and other not in {None, clinic} and life == alive_at

    def accepted(self, clinic: ClinicScope, *, first_try: bool) -> int:
        """A clinic was let through. Returns the request whose refusal was the origin's, as this shows, or 0."""
        if first_try:
            self._share -= SHARE_WEIGHT * self._share
        self._noise = min(1.0, self._noise + NOISE_SHARE)
        doubted = clinic.cleared()
        if doubted < 0:
            if self._noise >= 1.0:
                self._noise -= 1.0
                return 0
            return -doubted
        return doubted

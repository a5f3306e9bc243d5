"""The clinics at an origin that have a pace of their own, or are shut."""

from __future__ import annotations

from collections.abc import Callable

from .clinic_scope import REST_SECONDS, ClinicScope

__all__ = ["Changed", "PacedScopes"]

#: How often is looked for those whose pace is over.
SWEEP_SECONDS = 1.0
#: A clinic's pace that is younger than this was the origin's, where the origin is blamed.
GIVEN_BACK_SECONDS = 10.0

#: A scope (None is the origin), its requests a second (None: not paced any more), and why.
Changed = Callable[[ClinicScope | None, float | None, str], None]


class PacedScopes(set[ClinicScope]):
    """The clinics; `changed` is called for each whose pace ends."""

    def __init__(self, changed: Changed) -> None:
        super().__init__()
        self._changed = changed
        self._swept_at = 0.0

    def forget(self, clinic: ClinicScope, why: str) -> None:
        """End a clinic's pace."""
        clinic.forget()
        if clinic in self:
            self.discard(clinic)
            self._changed(clinic, None, why)

    def give_back(self, now: float) -> None:
        """End the young ones: the origin is blamed from now on."""
        for clinic in list(self):
            young = clinic.pace is not None and now - clinic.pace.started_at < GIVEN_BACK_SECONDS
            if young and clinic.shut_until <= now:
                self.forget(clinic, "the limit is the origin's")

    def sweep(self, now: float) -> None:
        """End those that were not refused lately, and are open again."""
        if now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        for clinic in list(self):
            if clinic.refused_before(now - REST_SECONDS) and clinic.shut_until <= now:
                self.forget(clinic, "no request was refused lately")

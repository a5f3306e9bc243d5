"""The failures of a command on standard error: many clinics at one dead host are one line with a count."""

from __future__ import annotations

from arzamed_async import ArzamedError, DeadlineExceededError
from arzamed_async._counted import counted
from arzamed_async._logs.failures import named, shared_cause

from .advice import advice_on
from .messages import StderrReporter

__all__ = ["FailureLines"]


class FailureLines:
    """Writes the first failure of a kind at a host, and counts those of other clinics. With `each`, writes all."""

    def __init__(self, reporter: StderrReporter, *, each: bool) -> None:
        self._reporter = reporter
        self._each = each
        self._others: dict[tuple[object, ...], list[str]] = {}
        self._first: dict[tuple[object, ...], ArzamedError] = {}

    def add(self, clinic: str, error: ArzamedError, note: str = "") -> None:
        """Write or count a failure. One with a note, such as on an incomplete list, is always written."""
        key = shared_cause(error)
        if self._each or note or key is None:
            self._reporter.failure(clinic, error, note)
        elif key in self._first:
            self._others[key].append(clinic)
        else:
            self._first[key], self._others[key] = error, []
            self._reporter.failure(clinic, error)

    def finish(self) -> None:
        """Write the counts."""
        for key, clinics in self._others.items():
            if clinics:
                host = self._first[key].host
                where = f" at {host}" if host else ""
                more = f"{counted(len(clinics), 'more clinic')} failed in the same way{where}"
                self._reporter.message(f"{more}: {named(clinics)} (-v lists each){_if_together(self._first[key])}")
        self._others.clear()
        self._first.clear()


def _if_together(error: ArzamedError) -> str:
    slow = isinstance(error, DeadlineExceededError) and "--timeout" in advice_on(error)
    return ". If these clinics are slow only when they are read together, lower --concurrency" if slow else ""

"""What `serve-fake` does wrong: its options, checked, and applied to the fake."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from arzamed_async import ConfigurationError
from arzamed_async.testing import FakeArzamed

__all__ = ["Faults", "faults_of"]


@frozen(kw_only=True)
class Faults:
    """Statuses with how often, delays and revoked keys of clinics, and requests a second."""

    fail: Sequence[tuple[int, int | None]] = ()
    slow: Sequence[tuple[str, float]] = ()
    revoke: Sequence[str] = ()
    rate_limit: float | None = None

    def check(self, names: Sequence[str]) -> None:
        """Raise ConfigurationError for a clinic that is not there."""
        for option, given in (("--slow", [name for name, _ in self.slow]), ("--revoke", self.revoke)):
            for name in given:
                if name not in names:
                    raise ConfigurationError(f"{option}: no clinic {name!r} (they are {names[0]} to {names[-1]})")

    def apply(self, fake: FakeArzamed) -> None:
        """Have the fake do all this."""
        for status, times in self.fail:
            fake.fail(status, times)
        for name, seconds in self.slow:
            fake.set_latency(seconds, name)
        for name in self.revoke:
            fake.revoke_key(name)
        if self.rate_limit is not None:
            fake.limit_rate(self.rate_limit)


def faults_of(*, fail: Sequence[str], slow: Sequence[str], revoke: Sequence[str], rate_limit: float | None) -> Faults:
    """Return the faults. Raises ConfigurationError with the name of the option and its form."""
    if rate_limit is not None and not 0 < rate_limit < float("inf"):
        raise ConfigurationError("--rate-limit must be greater than zero")
    return Faults(
        fail=[_status(text) for text in fail],
        slow=[_delay(text) for text in slow],
        revoke=revoke,
        rate_limit=rate_limit,
    )


def _status(text: str) -> tuple[int, int | None]:
    status, colon, times = text.partition(":")
    if _is_count(status) and 400 <= int(status) <= 599:
        if not colon:
            return int(status), None
        if _is_count(times) and int(times) > 0:
            return int(status), int(times)
    raise ConfigurationError(f"--fail must be a status from 400 to 599, and how often: 503:3, not {text!r}")


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _delay(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition(":")
    try:
        seconds = float(number)
    except ValueError:
        seconds = -1.0
    if not name or not 0 <= seconds < float("inf"):
        raise ConfigurationError(f"--slow must be a clinic and seconds: fake-1:2, not {text!r}")
    return name, seconds

"""What `serve-fake` does wrong: its options, checked, and applied to the fake."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from arzamed_async import ConfigurationError
from arzamed_async.testing import FakeArzamed

__all__ = ["Faults", "faults_of"]

#: More bytes than a body has: it is cut before its last byte, when all records have been sent.
_BEFORE_THE_END = 2**62


@frozen(kw_only=True)
class Faults:
    """Statuses with how often, delays, cuts and revoked keys of clinics, and requests a second with their burst."""

    fail: Sequence[tuple[int, int | None]] = ()
    slow: Sequence[tuple[str, float]] = ()
    cut: Sequence[tuple[str, int]] = ()
    revoke: Sequence[str] = ()
    rate_limit: tuple[float, int] | None = None

    def check(self, names: Sequence[str]) -> None:
        """Raise ConfigurationError for a clinic that is not there."""
        named: dict[str, Sequence[str]] = {
            "--slow": [name for name, _ in self.slow],
            "--cut": [name for name, _ in self.cut],
            "--revoke": self.revoke,
        }
        for option, given in named.items():
            for name in given:
                if name not in names:
                    raise ConfigurationError(f"{option}: no clinic {name!r} (they are {names[0]} to {names[-1]})")

    def apply(self, fake: FakeArzamed) -> None:
        """Have the fake do all this."""
        for status, times in self.fail:
            fake.fail(status, times)
        for name, seconds in self.slow:
            fake.set_latency(seconds, name)
        for name, after_bytes in self.cut:
            fake.cut_body(after_bytes, None, clinic=name)
        for name in self.revoke:
            fake.revoke_key(name)
        if self.rate_limit is not None:
            rate, burst = self.rate_limit
            fake.limit_rate(rate, burst=burst)


def faults_of(
    *,
    fail: Sequence[str] = (),
    slow: Sequence[str] = (),
    cut: Sequence[str] = (),
    revoke: Sequence[str] = (),
    rate_limit: str | None = None,
) -> Faults:
    """Return the faults. Raises ConfigurationError with the name of the option and its form."""
    return Faults(
        fail=[_status(text) for text in fail],
        slow=[_delay(text) for text in slow],
        cut=[_cut(text) for text in cut],
        revoke=revoke,
        rate_limit=None if rate_limit is None else _rate(rate_limit),
    )


def _status(text: str) -> tuple[int, int | None]:
    status, colon, times = text.partition(":")
    if _is_count(status) and 400 <= int(status) <= 599:
        if not colon:
            return int(status), None
        if _is_count(times) and int(times) > 0:
            return int(status), int(times)
    raise ConfigurationError(f"--fail must be a status from 400 to 599, and how often: 503:3, not {text!r}")


def _cut(text: str) -> tuple[str, int]:
    name, colon, after_bytes = text.partition(":")
    if not name or (colon and not _is_count(after_bytes)):
        raise ConfigurationError(
            f"--cut must be a clinic, and after how many bytes: fake-1 or fake-1:500, not {text!r}"
        )
    return name, int(after_bytes) if colon else _BEFORE_THE_END


def _rate(text: str) -> tuple[float, int]:
    number, colon, burst = text.partition(":")
    rate = _number(number)
    if not rate > 0 or (colon and not (_is_count(burst) and int(burst) > 0)):
        raise ConfigurationError(
            f"--rate-limit must be greater than zero, and may have a burst: 50 or 50:20, not {text!r}"
        )
    return rate, int(burst) if colon else 1


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _delay(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition(":")
    seconds = _number(number)
    if not name or seconds < 0:
        raise ConfigurationError(f"--slow must be a clinic and seconds: fake-1:2, not {text!r}")
    return name, seconds


def _number(text: str) -> float:
    """Return a finite number of zero or more; -1 for any other text."""
    try:
        number = float(text)
    except ValueError:
        return -1.0
    return number if 0 <= number < float("inf") else -1.0

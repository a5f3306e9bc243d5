"""The content of a FileTokenStore's file, and its rules: values only, without file access."""

from __future__ import annotations

import math
import re
from typing import Any, cast

import orjson
from attrs import evolve, frozen

from arzamed_async import Lease, StoredRejection, StoredToken

__all__ = ["Entry", "Grant", "Kept", "dump", "expired_at", "parse"]

_VERSION = 1
#: A time further in the future than this was written before the clock was set back: the age is unknown.
_SKEW_SECONDS = 60.0
_HOLDER = re.compile(r"[0-9a-f]{32}\.alive")
_OWNER = re.compile(r"[0-9a-f]{32}")
#: Lease numbers are nanoseconds since 1970, which reach this in 2116. A larger one would be no number of 64 bits for long.
_MOST_FENCE = 2**62
_MOST_LEASE_SECONDS = 86_400.0


def _passed(at: float, now: float) -> float:
    """Return the seconds since `at`; infinity if `at` is in the future by more than the skew."""
    return math.inf if at - now > _SKEW_SECONDS else max(0.0, now - at)


@frozen
class Kept:
    """A token or a rejection as saved at the time `at`, and the number of its lease."""

    value: StoredToken | StoredRejection
    at: float
    fence: int

    def current(self, now: float) -> StoredToken | StoredRejection | None:
        """Return the value with its remaining lifetime, or None if it has expired."""
        passed = _passed(self.at, now)
        left = self.value.seconds_left - passed
        if left <= 0:
            return None
        if isinstance(self.value, StoredToken):
            return evolve(self.value, age_seconds=self.value.age_seconds + passed, seconds_left=left)
        return evolve(self.value, seconds_left=left)


@frozen
class Grant:
    """A lease acquired or renewed at the time `at` for `seconds`, by a process that keeps the file `holder` locked."""

    owner: str
    fence: int
    holder: str
    at: float
    seconds: float

    def lasts(self, now: float) -> bool:
        """Return whether the lease has not expired."""
        return _passed(self.at, now) < self.seconds

    def is_of(self, lease: Lease) -> bool:
        """Return whether this is the given lease."""
        return (self.owner, self.fence) == (lease.owner, lease.fence)


@frozen
class Entry:
    """The state of one key: the number of its latest lease, the lease while it is held, and the stored value."""

    fence: int = 0
    grant: Grant | None = None
    kept: Kept | None = None


def expired_at(entry: Entry) -> float:
    """Return when the last of an entry's value and lease expired; of one without, when its last lease was acquired."""
    ends = [entry.fence / 1e9]
    if entry.kept is not None:
        ends.append(entry.kept.at + entry.kept.value.seconds_left)
    if entry.grant is not None:
        ends.append(entry.grant.at + entry.grant.seconds)
    return max(ends)


def dump(entry: Entry) -> bytes:
    """Serialize an entry."""
    return orjson.dumps(
        {
            "version": _VERSION,
            "fence": entry.fence,
            "lease": _dump_grant(entry.grant) if entry.grant else None,
            "kept": _dump_kept(entry.kept) if entry.kept else None,
        }
    )


def _dump_grant(grant: Grant) -> dict[str, object]:
    return {name: getattr(grant, name) for name in ("owner", "fence", "holder", "at", "seconds")}


def _dump_kept(kept: Kept) -> dict[str, object]:
    value = kept.value
    fields: dict[str, object] = {"fence": kept.fence, "at": kept.at, "seconds_left": value.seconds_left}
    if isinstance(value, StoredToken):
        return {**fields, "access_token": value.access_token, "age_seconds": value.age_seconds}
    return {**fields, "status": value.status, "error": value.error, "description": value.description}


def parse(text: bytes) -> Entry | None:
    """Parse a file's content; None if any part of it is invalid, since a corrupt file is ignored as a whole."""
    try:
        fields = _Fields(orjson.loads(text))
        if fields.whole("version") != _VERSION:
            return None
        return Entry(fields.fence(), _parse_grant(fields.inner("lease")), _parse_kept(fields.inner("kept")))
    except (ValueError, TypeError, KeyError):
        return None


class _Fields:
    """A JSON object with typed access: a value of another type is a TypeError, a missing one a KeyError."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise TypeError
        self._values = cast("dict[str, Any]", value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def inner(self, name: str) -> _Fields | None:
        value = self._values[name]
        return None if value is None else _Fields(value)

    def text(self, name: str) -> str:
        value = self._values[name]
        if not isinstance(value, str):
            raise TypeError
        return value

    def number(self, name: str) -> float:
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError
        if not math.isfinite(number := float(value)):
            raise ValueError
        return number

    def whole(self, name: str) -> int:
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        return value

    def fence(self) -> int:
        value = self.whole("fence")
        if not 0 <= value < _MOST_FENCE:
            raise ValueError
        return value

    def whole_or_none(self, name: str) -> int | None:
        return None if self._values[name] is None else self.whole(name)


def _parse_grant(fields: _Fields | None) -> Grant | None:
    if fields is None:
        return None
    owner, holder = fields.text("owner"), fields.text("holder")
    seconds = fields.number("seconds")
    # The holder is used as a file name.
    if not (_HOLDER.fullmatch(holder) and _OWNER.fullmatch(owner) and 0 <= seconds <= _MOST_LEASE_SECONDS):
        raise ValueError
    return Grant(owner, fields.fence(), holder, fields.number("at"), seconds)


def _parse_kept(fields: _Fields | None) -> Kept | None:
    if fields is None:
        return None
    value: StoredToken | StoredRejection
    left = fields.number("seconds_left")
    if "access_token" in fields:
        value = StoredToken(fields.text("access_token"), fields.number("age_seconds"), left)
    else:
        value = StoredRejection(fields.whole_or_none("status"), fields.text("error"), fields.text("description"), left)
    if not value.is_valid():
        raise ValueError
    return Kept(value, fields.number("at"), fields.fence())

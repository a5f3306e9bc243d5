"""Faults in queues, each waiting for the requests that it matches."""

from __future__ import annotations

import threading
from typing import Any, Generic, Literal, TypeVar

from attrs import define, frozen

from arzamed_async import ConfigurationError

from ._clinics import FakeClinic
from ._paths import same_path

__all__ = ["On", "Refusal", "Script", "SlowBody", "checked_on", "number"]

V = TypeVar("V")

On = Literal["api", "token"]

_KINDS: dict[str, On] = {"api": "api", "token": "token"}


def checked_on(on: str) -> On:
    """Return `on`. Raises ConfigurationError if it names neither kind of request."""
    if on not in _KINDS:
        raise ConfigurationError(f"on must be 'api' or 'token', not {on!r}")
    return _KINDS[on]


def number(name: str, value: Any, least: float = 0) -> float:
    """Return `value`. Raises ConfigurationError if it is not a number or under `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
        raise ConfigurationError(f"{name} must be a number of {least:g} or more")
    return value


@frozen
class Refusal:
    """An error response: its status, the `error` text, and extra headers."""

    status: int
    error: str
    description: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@frozen
class SlowBody:
    """A body sent a few bytes at a time."""

    chunk_bytes: int
    pause_seconds: float


@define(eq=False)
class _Entry(Generic[V]):
    value: V
    on: On
    clinic: FakeClinic | None
    path: str | None
    left: float

    def fits(self, path: str) -> bool:
        """Return whether it is for requests of this path."""
        return self.path is None or same_path(self.path, path)


class Script(Generic[V]):
    """Faults of one kind, consumed in the order in which they were added. Any thread may add or take them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[_Entry[V]] = []

    def add(self, value: V, times: int | None, on: str, clinic: FakeClinic | None, path: str | None = None) -> None:
        """Add a fault for the next `times` requests that match (None: for all of them)."""
        left = float("inf") if times is None else number("times", times, 1)
        path = None if path is None else path.strip("/")
        entry = _Entry(value, checked_on(on), clinic, path, left)
        with self._lock:
            self._entries.append(entry)

    def take(self, on: On, clinic: FakeClinic | None, path: str) -> V | None:
        """Return the first fault that matches this request, and count it as used; None if there is none."""
        with self._lock:
            for entry in self._entries:
                if entry.on == on and entry.clinic in (None, clinic) and entry.fits(path):
                    entry.left -= 1
                    if entry.left <= 0:
                        self._entries.remove(entry)
                    return entry.value
        return None

    def clear(self, clinic: FakeClinic | None) -> None:
        """Drop the faults added for this clinic alone; with None, all of them."""
        with self._lock:
            self._entries = [entry for entry in self._entries if clinic is not None and entry.clinic is not clinic]

"""What a session tells: events to observers, and warnings once."""

from __future__ import annotations

import inspect
import logging
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from attrs import field, frozen

from .events import Event, UnknownField
from .protocols import Observer, Tracer

__all__ = ["Notices", "Place", "place_of_use"]

#: A key may be anything, a person's name too: only what looks like a field's name is told, and not without end.
_FIELD_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
MOST_UNKNOWN_FIELDS = 64
MOST_ENDPOINTS_WATCHED = 256

logger = logging.getLogger("arzamed_async")

R = TypeVar("R")


@frozen
class Place:
    """A line of somebody's code, for a warning to point at; `names` are the globals there."""

    file: str
    line: int
    names: dict[str, Any] = field(repr=False)


def place_of_use() -> Place:
    """Return the line that has called the function which calls this, or read the property."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame and frame.f_back
    if frame is None:  # a Python without frames, or a caller that is none of Python's
        return Place("<unknown>", 0, {})
    return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)


class Notices:
    """Tells the observers of one session. Ask `observers` first where it costs something to know.

    `tracers` are those of them that want spans, too. (The class decides: a mock has whatever it is asked for.)
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self.observers = tuple(observers)
        self.tracers = tuple(cast("Tracer", each) for each in self.observers if hasattr(type(each), "start_span"))
        self._warned: set[str] = set()
        self._unknown: dict[str, set[str]] = {}

    def emit(self, event: Event) -> None:
        """Tell every observer."""
        for observer in self.observers:
            self.safely(type(event).__name__, observer, event)

    def safely(self, what: str, tell: Callable[..., R], *facts: Any) -> R | None:
        """Return what an observer does; None where it raises, which the log tells by the class, and disturbs nothing."""
        try:
            return tell(*facts)
        except Exception as error:  # noqa: BLE001 - whatever an observer does, the call goes on
            kind = type(error).__name__
        logger.error("an observer raised %s for %s", kind, what)
        return None

    def unknown_fields(self, clinic: str, path: str, fields: Iterable[str]) -> None:
        """Tell observers of fields that an endpoint's class does not know, each once."""
        if path not in self._unknown and len(self._unknown) >= MOST_ENDPOINTS_WATCHED:
            return
        told = self._unknown.setdefault(path, set())
        for name in fields:
            if name not in told and len(told) < MOST_UNKNOWN_FIELDS and _FIELD_NAME.fullmatch(name):
                told.add(name)
                self.emit(UnknownField(clinic=clinic, path=path, field=name))

    def warn_once(self, key: str, text: str, category: type[Warning], place: Place) -> None:
        """Warn of something once in the life of the session, as of this line."""
        if key not in self._warned:
            self._warned.add(key)
            names = place.names
            seen = names.setdefault("__warningregistry__", {})
            warnings.warn_explicit(text, category, place.file, place.line, names.get("__name__"), seen)

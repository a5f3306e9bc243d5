"""The name and the text of an exception that a store raised: its class and its `__str__` are code of the store."""

from __future__ import annotations

from .._http.status import printable_excerpt

__all__ = ["class_name", "text_of"]


def class_name(kind: type) -> str:
    """Return the name of a class, fit for a log. Not its `__name__`, which a metaclass may have replaced."""
    name: str = type.__dict__["__name__"].__get__(kind)
    return printable_excerpt(name, ())


def text_of(error: Exception) -> str:
    """Return the text of an exception, fit for a log; where it has none, the name of its class."""
    try:
        text = str.__str__(str(error))  # of no subclass of str
    except Exception:  # noqa: BLE001 - whatever it raises
        text = ""
    return printable_excerpt(text, ()) or class_name(type(error))

"""`attrs.frozen` for the package's values: their `__eq__`, `__hash__` and `__repr__` are shared.

attrs compiles the three for each class, which is half of what a class costs at import. These do the same from
the fields, whose options (`eq=False`, `hash=False`, `repr=False`, a function as `repr`) they follow. They work for a
half-made object, and a constructor that refuses a value shows none of its arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

import attrs

from ._tracebacks import hides_arguments

__all__ = ["empty_mapping", "frozen", "total_repr"]

_UNSET: Any = object()


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    names = (each.name for each in self.__attrs_attrs__ if each.eq)
    return all(getattr(self, name, _UNSET) == getattr(other, name, _UNSET) for name in names)


def _hash(self: Any) -> int:
    kind = self.__class__
    hashed = (each.name for each in kind.__attrs_attrs__ if (each.eq if each.hash is None else each.hash))
    return hash((kind.__qualname__, *[getattr(self, name, _UNSET) for name in hashed]))


def total_repr(method: Callable[[Any], str]) -> Callable[[Any], str]:
    """Decorate a `__repr__`, which is called for a half-made object too: for `self` where a constructor has raised."""

    @functools.wraps(method)
    def __repr__(self: Any) -> str:  # noqa: N807 - as which it is shown
        try:
            return method(self)
        except AttributeError:
            return f"<{type(self).__qualname__}, not initialized>"

    return __repr__


def empty_mapping(self: object, name: str) -> dict[str, Any]:
    """Return the content of a mapping whose constructor has raised (as its `__getattr__`, called for what is not set)."""
    if name in ("_items", "_values"):
        return {}
    raise AttributeError(f"{type(self).__qualname__!r} object has no attribute {name!r}")


@total_repr
@recursive_repr()
def _repr(self: Any) -> str:
    kind = self.__class__
    shown = ", ".join(
        f"{each.name}={(repr if each.repr is True else each.repr)(getattr(self, each.name))}"
        for each in kind.__attrs_attrs__
        if each.repr is not False
    )
    return f"{kind.__qualname__.rsplit('>.', 1)[-1]}({shown})"


def _getstate(self: Any) -> dict[str, Any]:
    state = {each.name: getattr(self, each.name, _UNSET) for each in self.__attrs_attrs__}
    if _UNSET in state.values():
        raise TypeError(f"cannot pickle a {type(self).__qualname__} that was not initialized")
    return state


_SHARED = {"__eq__": _eq, "__hash__": _hash, "__repr__": _repr}

if TYPE_CHECKING:
    from attrs import frozen  # type checkers, those of users too, treat these classes as attrs' own
else:

    def frozen(kind: type | None = None, *, kw_only: bool = False) -> Any:
        """Do what attrs.frozen does. A method that the class defines itself is left alone."""

        def define(kind: type) -> type:
            for name, method in _SHARED.items():
                if name not in vars(kind):
                    setattr(kind, name, method)
            made: Any = attrs.frozen(kind, eq=False, repr=False, kw_only=kw_only)
            guarded = {"__getstate__": _getstate}
            if any(each.validator or each.converter for each in made.__attrs_attrs__):  # else it refuses no value
                guarded["__init__"] = hides_arguments(made.__init__)
            for name, method in guarded.items():
                setattr(made, name, method)
            return made

        return define if kind is None else define(kind)

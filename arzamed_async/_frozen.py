"""`attrs.frozen` for the package's values: their `__eq__`, `__hash__` and `__repr__` are shared.

attrs compiles the three for each class, which is half of what a class costs at import. These do the same from
the fields, whose options (`eq=False`, `hash=False`, `repr=False`, a function as `repr`) they follow.
"""

from __future__ import annotations

from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

import attrs

__all__ = ["frozen"]


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return all(getattr(self, each.name) == getattr(other, each.name) for each in self.__attrs_attrs__ if each.eq)


def _hash(self: Any) -> int:
    kind = self.__class__
    hashed = (each.name for each in kind.__attrs_attrs__ if (each.eq if each.hash is None else each.hash))
    return hash((kind.__qualname__, *[getattr(self, name) for name in hashed]))


@recursive_repr()
def _repr(self: Any) -> str:
    kind = self.__class__
    shown = ", ".join(
        f"{each.name}={(repr if each.repr is True else each.repr)(getattr(self, each.name))}"
        for each in kind.__attrs_attrs__
        if each.repr is not False
    )
    return f"{kind.__qualname__.rsplit('>.', 1)[-1]}({shown})"


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
            return attrs.frozen(kind, eq=False, repr=False, kw_only=kw_only)

        return define if kind is None else define(kind)

"""The items of a merge: frozen values. Imported with the first merge."""

from __future__ import annotations

from typing import Generic, TypeVar, final

from ._frozen import frozen

__all__ = ["Finished", "Record"]

T = TypeVar("T")


@final
@frozen
class Record(Generic[T]):
    """One record of a merge: `clinic` is the name of the clinic that sent it."""

    clinic: str
    value: T


@final
@frozen
class Finished:
    """The end of a clinic's stream in a merge, after all of its `count` records."""

    clinic: str
    count: int

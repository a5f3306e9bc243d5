"""The items of a fan-out and of a merge: frozen values. Imported when a session is created."""

from __future__ import annotations

from types import TracebackType
from typing import ClassVar, Generic, Literal, NoReturn, TypeVar, final

from ._frozen import frozen
from .errors import ArzamedError

__all__ = ["Failure", "Finished", "Outcome", "Record", "Success"]

T = TypeVar("T")


@final
@frozen
class Success(Generic[T]):
    """The result of one clinic in a fan-out."""

    clinic: str
    """The clinic's name."""
    value: T
    """The value that `fetch` returned."""
    seconds: float
    """The duration of `fetch`."""
    index: int = 0
    """The clinic's place among the clinics passed, from 0. It identifies a clinic whose name is not unique."""
    ok: ClassVar[Literal[True]] = True
    """Always True."""
    error: ClassVar[None] = None
    """Always None."""

    def unwrap(self) -> T:
        """Return the value."""
        return self.value


@final
@frozen
class Failure:
    """The failure of one clinic in a fan-out."""

    clinic: str
    """The clinic's name."""
    error: ArzamedError
    """The error that `fetch` raised."""
    seconds: float
    """The time until it failed."""
    index: int = 0
    """The clinic's place among the clinics passed, from 0. It identifies a clinic whose name is not unique."""
    ok: ClassVar[Literal[False]] = False
    """Always False."""
    value: ClassVar[None] = None
    """Always None."""

    def unwrap(self) -> NoReturn:
        """Raise the error. Repeated calls do not extend its traceback.

        Raises:
            ArzamedError: Always: it raises `error`.
        """
        raise self.error.with_traceback(_before_unwrap(self.error.__traceback__))


def _before_unwrap(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames that earlier calls of `unwrap`, and their callers, have added."""
    step = traceback
    while step is not None:
        if step.tb_frame.f_code is Failure.unwrap.__code__:
            traceback = step.tb_next
        step = step.tb_next
    return traceback


Outcome = Success[T] | Failure


@final
@frozen
class Record(Generic[T]):
    """One record of a merge."""

    clinic: str
    """The name of the clinic that sent it."""
    value: T
    """The record."""


@final
@frozen
class Finished:
    """The end of a clinic's stream in a merge, after all of its records."""

    clinic: str
    """The clinic's name."""
    count: int
    """The number of its records. All of them were delivered."""

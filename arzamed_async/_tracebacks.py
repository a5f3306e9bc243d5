"""Hides the arguments of what a caller calls: error trackers keep the locals of every frame of a traceback.

A repr that is masked is not enough: some trackers keep a str or bytes as it is, and follow the attributes of `self`.
"""

from __future__ import annotations

import functools
import sys
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from .errors import ArzamedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["drop_frames", "hides_arguments"]

#: With the dict of defaults: a test that replaces a default of a constructor finds it, and its replacement counts.
_COPIED = (*functools.WRAPPER_ASSIGNMENTS, "__kwdefaults__")
#: Where attrs.evolve and copy.replace are defined.
_REPLACING = ("attr._make", "attr._funcs", "copy")
_PACKAGE = __name__.partition(".")[0]


def hides_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function or constructor that takes something secret, or something in whose place a secret may be given.

    What it raises has no frame that holds an argument, and is chained only to what the caller was handling.
    """

    @functools.wraps(function, assigned=_COPIED)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        handled = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            drop_frames(error, handled)
            _forget_changes()
            raise
        finally:
            del args, kwargs, handled

    return call


def _forget_changes() -> None:
    """Empty the changes in the frames of `attrs.evolve` and `copy.replace` that called: those will be of the error, too."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - who has called what refuses its arguments
    while frame is not None and frame.f_globals.get("__name__") in _REPLACING:
        changes = frame.f_locals.get("changes")
        if isinstance(changes, dict):
            changes.clear()
        frame = frame.f_back


def drop_frames(error: BaseException, handled: BaseException | None) -> None:
    """Drop this package's frames from an error. `handled` is what the caller was handling: all else that it is chained to goes.

    Another error than an ArzamedError was raised by code of the caller's, such as a clock: that code's frames are kept.
    """
    steps: list[TracebackType] = []
    if isinstance(error, ArzamedError):
        error.__cause__, error.__context__ = None, handled
    else:
        step = error.__traceback__
        while step is not None:
            steps.append(step)
            step = step.tb_next
    rest: TracebackType | None = None
    for step in reversed(steps):
        if not _ours(step):
            rest = TracebackType(rest, step.tb_frame, step.tb_lasti, step.tb_lineno)
    error.__traceback__ = rest


def _ours(step: TracebackType) -> bool:
    frame = step.tb_frame
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] == _PACKAGE or frame.f_code.co_filename.startswith("<attrs generated")

"""The root of all errors, and the errors that the caller causes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec

    P = ParamSpec("P")

__all__ = ["ArzamedError", "ConfigurationError", "SessionClosedError", "retry_after"]

#: Facts that JSON keeps as they are.
_PLAIN = (str, int, float, type(None))
#: Where the classes are imported from: the module that tracebacks and pickles name.
MODULE = "arzamed_async.errors"


def _rebuild(cls: type[ArzamedError], args: tuple[Any, ...], facts: dict[str, Any]) -> ArzamedError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(facts)
    return error


def _restore(error: ArzamedError, what: object, facts: dict[object, object]) -> None:
    """Set the attributes of an error from its `args`. These may come from a store of task results: no method is replaced."""
    kind = type(error)
    ours: Any = next(each for each in kind.__mro__ if each.__module__ == MODULE)
    ours.__init__(error)
    error.args = (what,)
    for name, value in facts.items():
        if isinstance(name, str) and isinstance(value, _PLAIN) and not callable(getattr(kind, name, None)):
            error.__dict__[name] = value


def _restoring(init: Callable[P, None]) -> Callable[P, None]:
    """Decorate a constructor, so that `cls(*args)` restores an error from its `args`."""

    @functools.wraps(init)
    def __init__(*args: P.args, **facts: P.kwargs) -> None:  # noqa: N807 - it replaces the method of this name
        given = cast("tuple[Any, ...]", args)
        if len(given) == 3 and isinstance(given[2], dict) and not facts:
            _restore(*given)
        else:
            init(*args, **facts)

    return __init__


class ArzamedError(Exception):
    """The root of the tree: `except ArzamedError` catches everything that this package raises.

    The text of an error states what failed, and ends with `hint` and `remedy`. An attribute that does not apply is empty,
    or 0. `args` holds what failed and a dict of the attributes. So a task queue such as Celery, which stores an error as
    its class and `args`, can restore it with all its attributes by `cls(*args)`.

    Attributes:
        clinic: The clinic's name.
        method: The HTTP method of the call.
        path: The endpoint's path, never a URL; empty for a token request.
        attempts: The number of requests sent for the call.
        host: The host that the requests were sent to.
        call_id: The id of the call. Log lines, events and spans of the call have it, too.
        hint: An additional sentence about this failure.
        remedy: What to do about it.
    """

    __module__: str = MODULE
    remedy: str = ""

    @_restoring
    def __init__(
        self,
        what: str = "",
        *,
        clinic: str = "",
        method: str = "",
        path: str = "",
        attempts: int = 0,
        hint: str = "",
        host: str = "",
        call_id: str = "",
    ) -> None:
        super().__init__(what)
        self.clinic = clinic
        self.method = method
        self.path = path
        self.attempts = attempts
        self.hint = hint
        self.host = host
        self.call_id = call_id

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in cls.__dict__:
            setattr(cls, "__init__", _restoring(cls.__init__))  # noqa: B010 - a method, to type checkers
        if cls.__module__.startswith(f"{__package__}."):
            cls.__module__ = MODULE

    def add_hint(self, sentence: str) -> None:
        """Append a sentence to `hint`; an empty one changes nothing.

        Args:
            sentence: What to append.
        """
        if sentence:
            self.hint = f"{self.hint}. {sentence}" if self.hint else sentence

    def _what(self) -> str:
        """Return what failed, without the place and the number of attempts. Subclasses build it from their attributes."""
        return str(self.args[0]) if self.args else ""

    if not TYPE_CHECKING:  # for type checkers, those of users too, it is the attribute of every exception

        @property
        def args(self) -> tuple[Any, ...]:
            """What failed, and the facts, as JSON can hold them."""
            given = super().args
            if "clinic" not in self.__dict__:  # not initialized
                return given
            facts = {name: value for name, value in self.__dict__.items() if isinstance(value, _PLAIN)}
            return (*given[:1], facts)

        @args.setter
        def args(self, args: tuple[Any, ...]) -> None:
            BaseException.args.__set__(self, args)

    def _details(self) -> str:
        """Return the part of the text that follows the number of attempts."""
        return ""

    def _text(self) -> str:
        call = f"{self.method} {self.path}".strip()
        what = self._what()
        if self.attempts > 1:
            what = f"{what} after {self.attempts} attempts"
        first = ": ".join(part for part in (self.clinic, call, what) if part) + self._details()
        return ". ".join(part.rstrip(".") for part in (first, self.hint, self.remedy) if part)

    def __str__(self) -> str:
        try:
            text = self._text()
        except (AttributeError, TypeError, ValueError):  # created without its constructor, or with wrong arguments
            text = super().__str__() or f"{type(self).__name__}, not initialized"
        if text.isprintable():
            return text
        # A clinic's name may be foreign text: it must not steer a terminal or pass for another name.
        return "".join(
            each if each.isprintable() else " " if each.isspace() else "\N{REPLACEMENT CHARACTER}" for each in text
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), super().args, self.__dict__)


class ConfigurationError(ArzamedError, ValueError):
    """An argument, a setting or a file is invalid, such as a URL, a secret or the clinics file.

    The text names what to correct. It does not end with the remedy, which would only repeat that.
    """

    remedy = "Correct the argument, the variable or the file that the text names"

    def __str__(self) -> str:
        return super().__str__().removesuffix(f". {self.remedy}")


class SessionClosedError(ArzamedError):
    """The session was closed, either before the call or while it was running."""

    remedy = "Await all calls within the session's `async with`, or open another session"

    def __init__(self, what: str = "the session is closed", **facts: Any) -> None:
        super().__init__(what, **facts)


def retry_after(seconds: float | None) -> str:
    """Return ", retry after N s" for the end of a text; empty if there is no delay."""
    return "" if seconds is None else f", retry after {seconds:.1f}".removesuffix(".0") + " s"

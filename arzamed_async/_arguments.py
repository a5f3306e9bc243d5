"""Checks of arguments that are objects or callables: each raises ConfigurationError and names the argument.

An argument that is silently ignored takes with it what it was to do: the TLS of an `http=`, the sharing of a
`token_store=`. No text is quoted, since it may hold a secret.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from .errors import ConfigurationError

__all__ = [
    "callback",
    "clock_function",
    "described",
    "flag",
    "function",
    "kinds",
    "observer_functions",
    "path_like",
    "shown_name",
    "shown_path",
    "store_object",
    "tls_context",
]

_LONGEST_NAME, _LONGEST_PATH = 64, 4096
_SUFFIX = r"\.[A-Za-z]{1,12}"

C = TypeVar("C", bound=Callable[..., Any])
#: What a session calls of a token store.
STORE_METHODS = ("load", "save", "discard", "acquire", "renew", "release")


def described(value: object) -> str:
    """Describe what was given. A number is shown, a text is not."""
    if isinstance(value, bool):
        return repr(value)
    if isinstance(value, float) or (isinstance(value, int) and -(10**9) < value < 10**9):
        return f"{type(value).__name__} {float(value):g}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.iscoroutine(value):
        value.close()  # it would never be awaited, which is another warning
        return "a coroutine"
    if _is_async(value):
        return "a coroutine function"
    return type(value).__name__


def shown_name(name: str) -> str:
    """Return a name if it looks like one, else its length: a secret may have been given in the place of a name."""
    plain = len(name) <= _LONGEST_NAME and name.isascii() and name.isidentifier()
    if plain and (not any(map(str.isdigit, name)) or ("_" in name and name in (name.upper(), name.lower()))):
        return name
    return f"of {len(name)} characters, which are not shown since they look like no name"


def shown_path(path: Path) -> str:
    """Return a path if it looks like one, else its length: a secret, or a file's text, may have been given in its place."""
    text = str(path)
    if len(text) <= _LONGEST_PATH and text.isprintable() and (path.is_absolute() or re.fullmatch(_SUFFIX, path.suffix)):
        return text
    with contextlib.suppress(OSError, ValueError):
        if path.exists():
            return text
    return f"of {len(text)} characters, which are not shown since they look like no path"


def _is_async(value: object) -> bool:
    while isinstance(value, functools.partial):
        value = value.func
    call = value if inspect.isroutine(value) else getattr(type(value), "__call__", None)  # noqa: B004 - of its class
    return any(
        inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each)
        for each in (value, call)
        if each is not None
    )


def _refuse(name: str, right: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"{name} must be {right}, not {described(value)}")


def kinds(**pairs: tuple[object, type]) -> None:
    """Check that each argument, by its name, is of its kind."""
    for name, (value, kind) in pairs.items():
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            right = "True or False" if kind is bool else f"of type {kind.__name__}"
            raise ConfigurationError(f"{name} must be {right}, not {described(value)}")


def flag(name: str, value: object) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, bool):
        raise _refuse(name, "True or False", value)
    return value


def function(name: str, value: C, right: str) -> C:
    """Return `value` if it can be called."""
    if not callable(value):
        raise _refuse(name, right, value)
    return value


def callback(name: str, value: C, right: str = "a function, which is called and not awaited") -> C:
    """Return `value` if it is a plain function, or an object that can be called as one."""
    if isinstance(value, type) or not callable(value) or _is_async(value):
        raise _refuse(name, right, value)
    return value


def clock_function(name: str, value: Callable[[], float]) -> Callable[[], float]:
    """Return `value` if it is a function that returns a number."""
    right = "a function without arguments that returns seconds, such as time.monotonic"
    callback(name, value, right)
    now: object = None
    with contextlib.suppress(TypeError):  # it cannot be called without arguments
        now = value()
    if isinstance(now, bool) or not isinstance(now, (int, float)):
        raise ConfigurationError(f"{name} must be {right}")
    return value


def observer_functions(observers: Iterable[Any]) -> tuple[Any, ...]:
    """Return the observers if each is a plain function, or an object that can be called as one."""
    if isinstance(observers, (str, bytes)) or not isinstance(observers, Iterable):
        raise _refuse("observers", "an iterable of functions", observers)
    found = tuple(observers)
    for number, each in enumerate(found):
        callback(f"observers[{number}]", each, "a function of one event, which is called and not awaited")
    return found


def store_object(store: object) -> None:
    """Check that a token store has the methods of the protocol."""
    missing = [method for method in STORE_METHODS if not _has(store, method)]
    if isinstance(store, type) or missing:
        more = f" (it has no {', '.join(missing)})" if missing else ""
        right = "a TokenStore, such as RedisTokenStore(url) of arzamed_async.stores"
        raise ConfigurationError(f"token_store must be {right}, not {described(store)}{more}")


def _has(store: object, method: str) -> bool:
    try:
        return callable(getattr(store, method, None))
    except Exception:  # noqa: BLE001 - a store whose attributes fail is one that fails
        return True


def tls_context(context: object) -> None:
    """Check an `ssl_context`. (False would not switch the verification off, and a path would be ignored.)"""
    if context is not None and not isinstance(context, ssl.SSLContext):
        raise _refuse("ssl_context", "an ssl.SSLContext, such as ssl.create_default_context(cafile=...)", context)


def path_like(name: str, value: object) -> str:
    """Return `value` if it is a path as text, or an os.PathLike of text."""
    found: object = None
    with contextlib.suppress(TypeError):
        found = cast("object", os.fspath(cast("Any", value)))
    if not isinstance(found, str):
        raise _refuse(name, "a path", value)
    return found

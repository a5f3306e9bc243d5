"""The token store of a fan-out: what is sent to the workers for it, and what a worker makes of that."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any, cast

from arzamed_async import ConfigurationError, TokenStore

__all__ = ["Store", "check_store", "create_store"]

Store = TokenStore | Callable[[], TokenStore] | str

_BY_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
#: Strings of a pickle are UTF-8, and what stands between them is not printable.
_PRINTABLE = re.compile(rb"[!-~]+")
_WAY = (
    'name a function that creates the store on the worker (token_store="package.module:function"), or give the store a'
    ' reference (RedisTokenStore(SecretFromEnv("REDIS_URL")))'
)


def check_store(store: object, allow_literal_secrets: bool) -> None:
    """Raise ConfigurationError if a token store cannot be sent, or if a password would be sent with it.

    What is looked at are the very bytes that would be sent: the constants, defaults and cells of a lambda or a closure
    are in them, and a partial's arguments; of a function of a module, and of a class, only the name is.
    """
    if store is None:
        return
    if isinstance(store, str):
        if not _BY_NAME.fullmatch(store):
            raise ConfigurationError(
                'a token_store given as text must be the name of a function: "package.module:function"'
            )
        return
    sent: bytes = importlib.import_module("cloudpickle").dumps(store)
    if not allow_literal_secrets and _has_password(sent):
        store = sent = b""  # a traceback shows this frame
        raise ConfigurationError(
            "token_store holds a URL with a password, which would pass through the Dask scheduler in plain text: "
            + _WAY
        )


def _has_password(sent: bytes) -> bool:
    """Return whether a pickle holds a URL with a login, one that is joined to a password, or one with a password as an option."""
    for text in _PRINTABLE.findall(sent):
        scheme, *rests = text.split(b"://")
        for rest in rests:
            login, has_login, _ = rest.partition(b"/")[0].rpartition(b"@")
            if has_login and b":" in login:
                return True
            if scheme.endswith((b"redis", b"rediss")):
                authority, _, options = rest.partition(b"?")
                if authority.partition(b"/")[0].endswith(b":") or b"password=" in options:
                    return True
            scheme = rest
    return False


def create_store(given: Store | None) -> TokenStore | None:
    """Return the store of a worker. Raises ConfigurationError if there is no function of that name."""
    found: Any
    if isinstance(given, str):
        module, _, path = given.partition(":")
        try:
            found = importlib.import_module(module)
            for name in path.split("."):
                found = getattr(found, name)
        except (ImportError, AttributeError):
            found = None
        if not callable(found):
            raise ConfigurationError(f"token_store: there is no function {given} on the Dask worker")
        return cast("TokenStore | None", found())
    found = given() if callable(given) else given
    return cast("TokenStore | None", found)

"""Checks of a session that is given as http=: what it adds to requests must not clash with the token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .._arguments import callback, described
from ..errors import ConfigurationError

__all__ = ["OF_PARENT", "check_given", "check_http", "check_made", "login_clash"]


class Client(Protocol):
    """What is looked at of an aiohttp.ClientSession."""

    @property
    def auth(self) -> object:
        """The login of each request, or None."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The default headers, by names in any case."""
        ...

    @property
    def trust_env(self) -> bool:
        """Whether a .netrc is read."""
        ...


#: The text where a given session was created before a fork: its connections are still its parent's.
OF_PARENT = (
    "the aiohttp session given as http= belongs to the process that this one was forked from: give a callable that"
    " creates one, or open a session in this process"
)


RIGHT = "an aiohttp.ClientSession, or a function that returns one"


def check_http(http: object, kind: type) -> None:
    """Check what is given as http=. (Anything else would be ignored, and its TLS and its proxy with it.)"""
    made = http is None or isinstance(http, kind)
    if made or (isinstance(http, type) and issubclass(http, kind)):
        return
    callback("http", http, RIGHT)  # type: ignore[type-var]


def check_made(client: object, kind: type) -> None:
    """Check what the function given as http= has returned."""
    if not isinstance(client, kind):
        raise ConfigurationError(f"http must be {RIGHT}: it returned {described(client)}")


def check_given(client: Client) -> None:
    """Raise ConfigurationError if the session has an Authorization of its own."""
    if client.auth is not None:
        why = "has auth=, and aiohttp refuses requests that have an Authorization header as well"
    elif "Authorization" in client.headers:
        why = "has a default Authorization header, which that of each request would replace"
    else:
        return
    raise ConfigurationError(
        f"the aiohttp session given as http= {why}: each request sends the clinic's own Authorization header. Create the session without it"
    )


def login_clash(client: Client, error: BaseException, host: str) -> ConfigurationError | None:
    """Return the error for a request that aiohttp has refused because of a login in a .netrc, None if that is not why."""
    if type(error) is not ValueError or not client.trust_env:  # subclasses are about the URL
        return None
    return ConfigurationError(
        "the aiohttp session given as http= has trust_env=True, and aiohttp found a login in a .netrc file, which clashes with"
        f" the Authorization header of each request ({host}). Create it without trust_env, and give it the proxy, or remove"
        " that login (the host's, or the default one)"
    )

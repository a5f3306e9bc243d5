"""The name of the application in the User-Agent of each request. Imported only where a session is given one."""

from __future__ import annotations

import re

from ..errors import ConfigurationError

__all__ = ["checked_app_info"]

#: RFC 9110, sections 5.6.2 and 10.1.5: a token, and a version that is one as well.
_TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word
_PRODUCTS = re.compile(rf"{_TOKEN}(?:/{_TOKEN})?(?: {_TOKEN}(?:/{_TOKEN})?)*", re.ASCII)
_MOST_CHARACTERS = 256


def checked_app_info(text: object) -> str:
    """Return the products that go before the library's own. The error never quotes the text."""
    if not isinstance(text, str):
        raise ConfigurationError(f"app_info must be text, not {type(text).__name__}")
    if len(text) > _MOST_CHARACTERS:
        raise ConfigurationError(f"app_info has {len(text):,} characters: at most {_MOST_CHARACTERS} are allowed")
    found = _PRODUCTS.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            "app_info must be name/version, or several of these with a space between: booking-portal/2.1. A name and a"
            " version consist of letters and digits of ASCII and of !#$%&'*+-.^_`|~"
        )
    return found.group()

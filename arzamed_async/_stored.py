"""The values in a TokenStore. All times are durations in seconds. Imported if a session has a store.

`is_valid` is the one place that checks a value read from a store, which anyone may have written. Types are compared
exactly, since a subclass can define its own comparison, formatting and addition.
"""

from __future__ import annotations

import re

from attrs import field

from ._frozen import frozen
from ._masked import Masked, as_masked

__all__ = ["MOST_REJECTION_SECONDS", "Lease", "StoredRejection", "StoredToken"]

#: Servers accept 8 KiB for the header that a token is sent in: a longer one is not shared.
_TOKEN = re.compile(r"[!-~]{1,8192}")
#: A day, which `expires_in` is cut at, and the rounding of a store.
_MOST_TOKEN_SECONDS = 86_400.0 + 60
#: The longest that a rejection or a pause is stored for.
MOST_REJECTION_SECONDS = 3600.0
_MOST_TEXT = 200
_MOST_FENCE = 2**63 - 1


def _is_number(value: object, most: float) -> bool:
    return (type(value) is int or type(value) is float) and 0 <= value <= most


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= _MOST_TEXT and value.isprintable()


@frozen
class StoredToken:
    """A token in a TokenStore, with its age and its remaining lifetime."""

    access_token: str = field(converter=as_masked)
    """The token itself."""
    age_seconds: float
    """How long ago it was issued, by the store's clock."""
    seconds_left: float
    """Its remaining lifetime, by the store's clock."""

    def is_valid(self) -> bool:
        """Return whether a session uses it: at most 8 KiB, only characters of a header, and valid for at most a day."""
        text, age, left = self.access_token, self.age_seconds, self.seconds_left
        if type(text) is not Masked or not _TOKEN.fullmatch(text):
            return False
        most = _MOST_TOKEN_SECONDS
        return _is_number(age, most) and _is_number(left, most) and age + left <= most


@frozen
class StoredRejection:
    """A rejection in a TokenStore: until it expires, no token request is sent with these credentials."""

    status: int | None
    """The HTTP status of the token endpoint's response; None if it sent none."""
    error: str
    """The `error` of the response (RFC 6749 section 5.2), sanitized."""
    description: str
    """The `error_description` of the response, sanitized."""
    seconds_left: float
    """The time until it expires, by the store's clock."""

    def is_valid(self) -> bool:
        """Return whether a session uses it: a possible status, printable texts of at most 200 characters, at most an hour."""
        status = self.status
        if status is not None and not (type(status) is int and 100 <= status <= 999):
            return False
        return (
            _is_text(self.error)
            and _is_text(self.description)
            and _is_number(self.seconds_left, MOST_REJECTION_SECONDS)
        )


@frozen
class Lease:
    """The right to request the token of a key. At most one process has it."""

    key: str
    """The key, a digest."""
    owner: str
    """A random text, which identifies the holder."""
    fence: int
    """The number of the lease. Each later lease of the same key has a higher one."""

    def is_valid(self) -> bool:
        """Return whether a session uses it: printable texts, and a number below 2^63."""
        texts = _is_text(self.key) and _is_text(self.owner)
        return texts and type(self.fence) is int and 0 <= self.fence <= _MOST_FENCE

"""The token request and its response (RFC 6749), as rules without I/O."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote, urlencode

from .._concurrency.clocks import Moment
from .._http.status import json_object, printable_excerpt
from .._masked import Masked, as_masked, as_plain
from .._resilience.pace import LONGEST_PAUSE_SECONDS
from ..errors import CredentialsRejectedError, TokenError, TokenUnavailableError

__all__ = [
    "IssuedToken",
    "Rejected",
    "ResolvedSecret",
    "basic_authorization",
    "pause_of",
    "read_token_response",
    "token_request_body",
]


#: Why the API has rejected a token; "" if it has not.
Rejected = Literal["", "401", "header"]
DEFAULT_LIFETIME_SECONDS = 300.0
LONGEST_LIFETIME_SECONDS = 86_400.0
_HOUR = 3600.0
_NUMBER = r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?"
#: RFC 3986 section 2.3: what form-encoding leaves as it is. No pattern: compiling one is a part of what the import costs.
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"


def basic_authorization(client_id: str, secret: str, encoding: str) -> str:
    """Return the value of the Authorization header.

    RFC 6749 section 2.3.1 has both parts form-encoded before they are joined; everything outside
    letters, digits and `-._~` becomes %XX of its UTF-8 bytes, a space %20, which every form decoder reads.
    "raw" leaves both as they are, in UTF-8.
    """
    if encoding == "form" and (client_id + secret).strip(_UNRESERVED):  # quoting is slow, and seldom needed
        client_id, secret = quote(client_id, safe=""), quote(secret, safe="")
    return Masked("Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode("ascii"))


@functools.lru_cache(maxsize=64)
def token_request_body(scope: str) -> bytes:
    """Return the body of the token request (RFC 6749 section 4.4.2)."""
    return urlencode({"grant_type": "client_credentials", "scope": scope}).encode("ascii")


class ResolvedSecret:
    """A clinic's secret as it was sent. It is kept to mask it in texts from a server."""

    __slots__ = ("client_id", "encoding", "secret")

    def __init__(self, client_id: str, secret: str, encoding: str) -> None:
        self.client_id = client_id
        self.secret = as_masked(secret)
        self.encoding = encoding

    def forms(self) -> tuple[str, ...]:
        """Return every form in which the secret goes over the wire."""
        basic = basic_authorization(self.client_id, self.secret, self.encoding).removeprefix("Basic ")
        return (basic, quote(self.secret, safe=""), self.secret)


class IssuedToken:
    """A token and its lifetime, which counts from the moment before its request was sent.

    `requested_at` is that moment by the monotonic clock, `requested_at_wall` by the wall clock. `secret` is the secret of
    the request, to be masked in texts from the API; None if the credentials contain it. `rejected` is why the API rejected
    the token: "401", or "header" (HTTP 400 or 431 because of the header); `accepted`: the API had accepted it before.
    `stored`: it is from a token store, so anyone with write access there may have made it up.
    """

    __slots__ = (
        "accepted", "lifetime_seconds", "rejected", "requested_at", "requested_at_wall", "secret", "stored", "text",
    )  # fmt: skip

    def __init__(
        self, access_token: str, lifetime_seconds: float, requested_at: Moment, *, stored: bool = False
    ) -> None:
        self.text = as_plain(access_token)  # shared with the public Token, so that it is held once
        self.lifetime_seconds = lifetime_seconds
        self.requested_at, self.requested_at_wall = requested_at
        self.secret: ResolvedSecret | None = None
        self.rejected: Rejected = ""
        self.accepted = False
        self.stored = stored

    @property
    def access_token(self) -> str:
        """The text of the token, with a masked repr: use it for variables."""
        return Masked(self.text)

    def keep_secret(self, secret: ResolvedSecret) -> None:
        """Set the secret of its request."""
        self.secret = secret

    def age(self, now: Moment) -> float:
        """Return its age: the larger one of two clocks, since a monotonic clock can stop while the computer sleeps."""
        return max(now[0] - self.requested_at, now[1] - self.requested_at_wall)

    def note_rejection(self, reason: Rejected, *, accepted: bool) -> None:
        """Record that the API rejected it. `accepted`: it had accepted it before."""
        self.rejected, self.accepted = reason, accepted

    def keep(self) -> IssuedToken:
        """Clear the rejection and return it: it becomes the current token again, since a new one would not help."""
        self.rejected = ""
        return self


def _lifetime_seconds(value: object) -> float | None:
    """Return the seconds `expires_in` stands for; None if it stands for none.

    Null and an empty text count as a missing one, and the text of a number as that number: both are sent.
    """
    if isinstance(value, str):
        value = value.strip()
        if re.fullmatch(_NUMBER, value):
            value = float(value)
    if value is None or value == "":
        return DEFAULT_LIFETIME_SECONDS
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        return None
    if value == _HOUR:  # the usual one: all clinics' tokens share the number
        return _HOUR
    return min(float(value), LONGEST_LIFETIME_SECONDS)


def _is_bearer(token_type: object) -> bool:
    """Return whether it is Bearer, in any case, or missing: null and an empty text count as that."""
    return token_type is None or (isinstance(token_type, str) and token_type.strip().lower() in ("bearer", ""))


def is_token(text: str) -> bool:
    """Return whether a text may stand in an Authorization header as a token (RFC 6750 section 2.1, but more permissive)."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def read_token_response(
    status: int, retry_after: float | None, body: bytes, sent: ResolvedSecret, requested_at: Moment
) -> IssuedToken | TokenError:
    """Return the token in a token endpoint's response (RFC 6749 sections 5.1 and 5.2), or the error to raise for it."""
    fields = json_object(body)
    if not 200 <= status <= 299:
        return _token_error(status, retry_after, fields, sent.forms())
    problem = None
    token = fields.get("access_token")
    lifetime = _lifetime_seconds(fields.get("expires_in"))
    if not isinstance(token, str) or not token:
        problem = "no access_token"
    elif not is_token(token):
        problem = "an access_token with characters that no token may hold"
    elif not _is_bearer(fields.get("token_type")):
        problem = "a token_type other than Bearer"
    elif lifetime is None:
        problem = "an expires_in that is not a positive number of seconds"
    else:
        return IssuedToken(token, lifetime, requested_at)
    return TokenError(f"the token endpoint's response contains {problem}", status=status)


def _token_error(
    status: int, retry_after: float | None, fields: Mapping[str, Any], secrets: tuple[str, ...]
) -> TokenError:
    error = printable_excerpt(fields.get("error"), secrets)
    facts: dict[str, Any] = {
        "status": status,
        "error": error,
        "description": printable_excerpt(fields.get("error_description"), secrets),
        "retry_after_seconds": retry_after,
    }
    if status == 429 or status >= 500:
        return TokenUnavailableError("the token endpoint is temporarily unavailable", **facts)
    if status == 401 or error in ("invalid_client", "unauthorized_client"):
        return CredentialsRejectedError("the token endpoint rejected the clinic's credentials", **facts)
    if 300 <= status <= 399:
        return TokenError("the token endpoint responded with a redirect, which is not followed", **facts)
    return TokenError("the token endpoint returned no token", **facts)


def pause_of(error: BaseException) -> float:
    """Return the seconds of the pause that the token endpoint requires with this error, within bounds; 0 for none."""
    if not isinstance(error, TokenUnavailableError) or error.status is None:
        return 0.0
    return min(max(0.0, error.retry_after_seconds or 0.0), LONGEST_PAUSE_SECONDS)

"""The rules of the wire: what to send, and what an answer means. Values in, values or errors out; no I/O."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import math
import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, cast
from urllib.parse import quote, urlencode

import orjson
from attrs import field, frozen

from ._checks import plain_text, relative_path
from ._masked import Masked
from .errors import (
    ConfigurationError,
    CredentialsRejectedError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    ServiceUnavailableError,
    StatusError,
    TokenError,
    TokenUnavailableError,
    UnauthorizedError,
)

__all__ = [
    "ERROR_BODY_BYTES",
    "LONGEST_LIFETIME_SECONDS",
    "Grant",
    "Params",
    "SentSecret",
    "basic_authorization",
    "clean",
    "endpoint_url",
    "is_token",
    "read_grant",
    "request_url",
    "retry_after_seconds",
    "status_error",
    "token_form",
    "with_query",
]

ERROR_BODY_BYTES = 65_536
FOREIGN_TEXT_LENGTH = 200
DEFAULT_LIFETIME_SECONDS = 300.0
LONGEST_LIFETIME_SECONDS = 86_400.0

STATUS_ERRORS: Mapping[int, type[StatusError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    429: RateLimitedError,
    503: ServiceUnavailableError,
}
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "cf-ray")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")  # RFC 3986 section 2.3: what form-encoding leaves as it is
_REQUEST_ID = re.compile(r"[\w.:/=+-]{1,128}", re.ASCII)
_PATH_CHARACTERS = "/-._~!$&'()*+,;=:@%"  # RFC 3986 section 3.3; what is encoded already stays so

Scalar = str | int | float | bool | dt.date
Params = Mapping[str, Scalar | Iterable[Scalar]] | Iterable[tuple[str, Scalar]]


@frozen
class Grant:
    """What the token endpoint gave: the token, and how long it lives from the moment it was asked for."""

    access_token: str = field(converter=Masked)
    lifetime_seconds: float


def basic_authorization(client_id: str, secret: str, encoding: str) -> str:
    """Return the value of the Authorization header.

    RFC 6749 section 2.3.1 has both parts form-encoded before they are joined; everything outside
    letters, digits and `-._~` becomes %XX of its UTF-8 bytes, a space %20, which every form decoder reads.
    "raw" leaves both as they are, in UTF-8.
    """
    if encoding == "form" and not _UNRESERVED.fullmatch(client_id + secret):  # quoting is dear, and seldom needed
        client_id, secret = quote(client_id, safe=""), quote(secret, safe="")
    return Masked("Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode("ascii"))


@functools.lru_cache(maxsize=64)
def token_form(scope: str) -> bytes:
    """Return the body of the token request (RFC 6749 section 4.4.2)."""
    return urlencode({"grant_type": "client_credentials", "scope": scope}).encode("ascii")


@frozen
class SentSecret:
    """A clinic's secret as it was last sent, to be masked in whatever a server says."""

    client_id: str
    secret: str = field(converter=Masked)
    encoding: str

    def forms(self) -> tuple[str, ...]:
        """Return every form in which the secret goes over the wire."""
        basic = basic_authorization(self.client_id, self.secret, self.encoding).removeprefix("Basic ")
        return (basic, quote(self.secret, safe=""), self.secret)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def clean(text: object, secrets: Iterable[str]) -> str:
    """Return a server's own words fit for a log: control characters gone, secrets masked, 200 characters at most."""
    if not isinstance(text, str):
        return ""
    # Control characters go first: one put inside a secret would carry it past the mask.
    text = _printable(text)
    for secret in sorted([_printable(secret) for secret in secrets if _printable(secret)], key=len, reverse=True):
        text = text.replace(secret, "***")
    return text.strip()[:FOREIGN_TEXT_LENGTH]


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))  # RFC 8259 section 8.1: a parser may ignore it
    except orjson.JSONDecodeError:
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def retry_after_seconds(value: str | None, wall_now: float) -> float | None:
    """Return the wait a Retry-After asks for (RFC 9110 section 10.2.3: seconds or an HTTP date); None if it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:  # RFC 9110 section 5.6.7: an HTTP date is always UTC
        date = date.replace(tzinfo=dt.timezone.utc)
    return max(0.0, date.timestamp() - wall_now)


def _lifetime_seconds(value: object) -> float | None:
    """Return the seconds `expires_in` stands for; None if it stands for none."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        return None
    return min(float(value), LONGEST_LIFETIME_SECONDS)


def is_token(text: str) -> bool:
    """Tell whether a text may go into an Authorization header as a token (RFC 6750 section 2.1, taken generously)."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def read_grant(
    status: int, retry_after: str | None, body: bytes, sent: SentSecret, wall_now: float
) -> Grant | TokenError:
    """Return the token in a token endpoint's answer (RFC 6749 sections 5.1 and 5.2), or the error it amounts to."""
    answer = _json_object(body)
    if not 200 <= status <= 299:
        return _token_error(status, retry_after, answer, sent.forms(), wall_now)
    problem = None
    token = answer.get("access_token")
    token_type = answer.get("token_type", "bearer")
    lifetime = _lifetime_seconds(answer.get("expires_in", DEFAULT_LIFETIME_SECONDS))
    if not isinstance(token, str) or not token:
        problem = "no access_token"
    elif not is_token(token):
        problem = "an access_token with characters that no token may hold"
    elif not isinstance(token_type, str) or token_type.lower() != "bearer":
        problem = "a token_type other than Bearer"
    elif lifetime is None:
        problem = "an expires_in that is no number of seconds"
    else:
        return Grant(token, lifetime)
    return TokenError(f"the token endpoint's answer holds {problem}", status=status)


def _token_error(
    status: int, retry_after: str | None, answer: Mapping[str, Any], secrets: tuple[str, ...], wall_now: float
) -> TokenError:
    error = clean(answer.get("error"), secrets)
    facts: dict[str, Any] = {
        "status": status,
        "error": error,
        "description": clean(answer.get("error_description"), secrets),
        "retry_after_seconds": retry_after_seconds(retry_after, wall_now),
    }
    if status == 429 or status >= 500:
        return TokenUnavailableError("the token endpoint has no token for the moment", **facts)
    if status == 401 or error in ("invalid_client", "unauthorized_client"):
        return CredentialsRejectedError("the token endpoint refused the clinic's credentials", **facts)
    if 300 <= status <= 399:
        return TokenError("the token endpoint answered with a redirect, which is not followed", **facts)
    return TokenError("the token endpoint gave no token", **facts)


def status_error(
    status: int, headers: Mapping[str, str], body: bytes, secrets: Iterable[str], wall_now: float
) -> StatusError:
    """Return the error for an answer of the API over 299."""
    request_id = next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), "")
    if not _REQUEST_ID.fullmatch(request_id) or any(secret in request_id for secret in secrets):
        request_id = ""
    error = STATUS_ERRORS.get(status, StatusError)(
        status,
        clean(_json_object(body).get("error"), secrets),
        request_id=request_id,
        retry_after_seconds=retry_after_seconds(headers.get("retry-after"), wall_now),
    )
    if 300 <= status <= 399:
        error.hint = "Redirects are not followed: check base_url"
    return error


def request_url(base_url: str, path: str, params: Params | None = None) -> str:
    """Return the URL of `path` below `base_url` (which ends without a slash), with its query.

    A parameter's value is text, a number, a bool (sent as true or false), a date or datetime (ISO
    8601), or a list of such, which repeats the name. Raises ConfigurationError for anything else;
    it names the parameter, never its value.
    """
    return with_query(f"{base_url}/{quote(relative_path('path', path), safe=_PATH_CHARACTERS)}", params)


@functools.lru_cache(maxsize=256)
def endpoint_url(base_url: str, path: str) -> str:
    """Return the URL of an endpoint. (Endpoints are few, and their paths hold no identifiers.)"""
    return request_url(base_url, path)


def with_query(url: str, params: Params | None) -> str:
    """Return the URL with its query. Raises ConfigurationError, see `request_url`."""
    if not params:
        return url
    pairs: list[tuple[str, str]] = []
    for name, value in _pairs(params):
        plain_text("a parameter's name", name)
        several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
        values: list[Any] = list(cast("Any", value)) if several else [value]
        pairs.extend((name, _parameter(name, each)) for each in values)
    return f"{url}?{urlencode(pairs, quote_via=quote)}"


def _pairs(params: object) -> list[tuple[str, Any]]:
    given: Any = cast("Any", params).items() if isinstance(params, Mapping) else params
    if hasattr(given, "__iter__") and not isinstance(given, (str, bytes)):
        pairs: list[Any] = list(given)
        if all(isinstance(pair, tuple) and len(cast("Any", pair)) == 2 for pair in pairs):
            return pairs
    raise ConfigurationError("params must be a mapping, or pairs of name and value")


def _parameter(name: str, value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)) and math.isfinite(value):
        return str(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, str):
        return plain_text(f"the parameter {name}", value, empty=True)
    raise ConfigurationError(
        f"the parameter {name} must be text, a number, a bool or a date, not {type(value).__name__}"
    )

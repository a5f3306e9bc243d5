"""Turns a status over 299 into an error, and makes a server's text safe for a log. No I/O."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, cast

import orjson

from ..errors import (
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    ServiceUnavailableError,
    StatusError,
    UnauthorizedError,
)

__all__ = [
    "ERROR_BODY_BYTES",
    "FOREIGN_TEXT_LENGTH",
    "STATUS_ERRORS",
    "json_object",
    "printable_excerpt",
    "request_id_of",
    "retry_after_seconds",
    "status_error",
]


ERROR_BODY_BYTES = 65_536
FOREIGN_TEXT_LENGTH = 200
STATUS_ERRORS: Mapping[int, type[StatusError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    429: RateLimitedError,
    503: ServiceUnavailableError,
}
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "cf-ray")
_REQUEST_ID = r"[A-Za-z0-9_.:/=+-]{1,128}"


#: Invisible, though Python calls them printable: they would carry a secret past its mask as well.
_IGNORED = r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"


def _printable(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_IGNORED, "", "".join(character for character in text if character.isprintable()))


def printable_excerpt(text: object, secrets: Iterable[str]) -> str:
    """Return a server's text fit for a log: control characters gone, secrets masked, 200 characters at most."""
    if not isinstance(text, str):
        return ""
    # Control characters go first: one put inside a secret would carry it past the mask.
    text = _printable(text)
    for secret in sorted([_printable(secret) for secret in secrets if _printable(secret)], key=len, reverse=True):
        text = text.replace(secret, "***")
    return text.strip()[:FOREIGN_TEXT_LENGTH]


def json_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))  # RFC 8259 section 8.1: a parser may ignore it
    except orjson.JSONDecodeError:
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def retry_after_seconds(value: str | None, wall_now: float, date: str | None = None) -> float | None:
    """Return the seconds that a Retry-After requests (RFC 9110 section 10.2.3: a number or a date); None if it is invalid.

    A date counts from the response's own Date, `date`, where it has one: the server's clock may be slow or fast.
    """
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    sent = None if date is None else _http_date(date.strip())
    return max(0.0, until - (wall_now if sent is None else sent))


def _http_date(text: str) -> float | None:
    """Return the seconds since the epoch of an HTTP date, None if it is none."""
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:  # RFC 9110 section 5.6.7: an HTTP date is always UTC
            date = date.replace(tzinfo=dt.timezone.utc)
        return date.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def request_id_of(header: Callable[[str], str | None], secrets: Callable[[], Iterable[str]]) -> str:
    """Return the server's id of a request, empty without one, or if it is no id, or holds one of the `secrets`."""
    found = next((value for name in _REQUEST_ID_HEADERS if (value := header(name)) is not None), "")
    safe = re.fullmatch(_REQUEST_ID, found) and not any(secret in found for secret in secrets() if secret)
    return found if safe else ""


def status_error(
    status: int, headers: Mapping[str, str], body: bytes, secrets: Iterable[str], wall_now: float
) -> StatusError:
    """Return the error for a response with a status over 299."""
    secrets = tuple(secrets)
    return STATUS_ERRORS.get(status, StatusError)(
        status,
        printable_excerpt(json_object(body).get("error"), secrets),
        request_id=request_id_of(headers.get, lambda: secrets),
        retry_after_seconds=retry_after_seconds(headers.get("retry-after"), wall_now, headers.get("date")),
    )

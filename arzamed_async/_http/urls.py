"""The URL of a path below the base URL, with its query. No I/O."""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, cast
from urllib.parse import quote, urlencode

from .._hosts import encoded_path
from .._validation import plain_text, relative_path
from ..errors import ConfigurationError

__all__ = ["Params", "Scalar", "endpoint_url", "request_url", "with_query"]


_PATH_CHARACTERS = "/-._~!$&'()*+,;=:@%"  # RFC 3986 section 3.3; what is encoded already stays so
Scalar = str | int | float | bool | dt.date
Params = Mapping[str, Scalar | Iterable[Scalar]] | Iterable[tuple[str, Scalar]]


def request_url(base_url: str, path: str, params: Params | None = None) -> str:
    """Return the URL of `path` below `base_url` (which ends without a slash), with its query.

    A parameter's value is text, a number, a bool (sent as true or false), a date or datetime (ISO
    8601), or a list of such, which repeats the name. Raises ConfigurationError for anything else;
    it names the parameter, never its value.
    """
    encoded = quote(encoded_path(relative_path("path", path)), safe=_PATH_CHARACTERS)
    return with_query(f"{base_url}/{encoded}", params)


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
        name = plain_text("a parameter's name", name)  # noqa: PLW2901 - as it is checked
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
    kind = type(value).__name__
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        try:
            return str(value)
        except ValueError:  # a whole number of more digits than Python writes
            kind = "int with too many digits"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, str):
        return plain_text(f"the parameter {name}", value, empty=True)
    raise ConfigurationError(f"the parameter {name} must be text, a number, a bool or a date, not {kind}")
